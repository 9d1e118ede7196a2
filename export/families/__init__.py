"""What each family's bundle is made of; a file each, of the same name as in runtime/families."""
