"""Lines that TensorRT-RTX 1.7.1 really logged, and what of them a person is told."""

from __future__ import annotations

import pytest
from reverie.engines.refusal import reason

DRIVER = (
    "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at "
    "/_src/common/dispatch/checkMacros.cpp:250 (cudaError 35: CUDA driver version is insufficient "
    "for CUDA runtime version))"
)
"""What it always says where there is no driver."""
CASES = [
    (
        [
            "IBuilder::buildSerializedNetworkToStream: Error Code 1: Myelin ([pass.cpp:337: "
            "check_turing_op_compatibility] Cannot compile operation 'layer0/MatMul' for Turing "
            "(SM75): FP32 GEMM is not supported. In compileGraph at "
            "/_src/optimizer/myelin/codeGenerator.cpp:2012)",
            DRIVER,
        ],
        "Cannot compile operation 'layer0/MatMul' for Turing (SM75): FP32 GEMM is not supported",
    ),
    (
        [
            DRIVER,
            "IBuilder::buildSerializedNetworkToStream: Error Code 1: Myelin ([pass.cpp:1500: "
            "run_passes] Cannot compile for target(s) sm75, because the model contains HW-specific "
            "datatypes: b16. In compileGraph at /_src/optimizer/myelin/codeGenerator.cpp:2012)",
        ],
        "Cannot compile for target(s) sm75, because the model contains HW-specific datatypes: b16",
    ),
    (
        [
            "IBuilder::buildSerializedNetworkToStream: Error Code 4: API Usage Error (Network must "
            "have at least one output. In validate at /_src/optimizer/api/network.cpp:3810)"
        ],
        "Network must have at least one output",
    ),
    (
        [
            "WeightsContext.cpp:203: Failed to open file: x/tiny.onnx.data",
            "ModelImporter.cpp:151: ERROR: ModelImporter.cpp:899 In function importInitializers:\n"
            "[5] Failed to import initializer: In node -1 with name:  and operator:  "
            "(importInitializers): UNSUPPORTED_NODE: Assertion failed: "
            "ctx->getWeightsContext().convertOnnxWeights(initializer, &weights): Failed to import "
            "initializer: w0",
        ],
        "Failed to open file: x/tiny.onnx.data",
    ),
    (
        [
            "(deserializeOnnxModel): MODEL_DESERIALIZE_FAILED: Assertion failed: "
            "model->ParseFromCodedStream(&codedInput): Failed to parse the ONNX model."
        ],
        "Failed to parse the ONNX model",
    ),
    (
        [
            "In node 7 with name: blocks.0/Conv and operator: Conv (importConv): UNSUPPORTED_NODE: "
            "Assertion failed: dims == 4: Only four axes are known."
        ],
        "Only four axes are known (at Conv 'blocks.0/Conv')",
    ),
    (
        [
            'ModelImporter.cpp:140: While parsing node number 3 [Unheard -> "odd"]:',
            "ModelImporter.cpp:142: --- Begin node ---\nNode name: oddity",
            "ModelImporter.cpp:143: --- End node ---",
            "ModelImporter.cpp:151: ERROR: onnxOpCheckers.cpp:998 In function "
            'checkFallbackPluginImporter:\n[6] creator && "Plugin not found, are the plugin name, '
            'version, and namespace correct?"',
        ],
        "Unheard 'oddity': Plugin not found, are the plugin name, version, and namespace correct?",
    ),
    (
        [
            'ModelImporter.cpp:140: While parsing node number 1 [Conv -> "h1"]:',
            "ModelImporter.cpp:151: ERROR: onnxOpImporters.cpp:1250 In function importConv:\n[8] "
            "Assertion failed: (nbSpatialDims == kernelWeights.shape.nbDims - 2): The number of "
            "spatial dimensions and the kernel shape doesn't match up for the Conv operator.",
        ],
        "Conv 'h1': The number of spatial dimensions and the kernel shape doesn't match up for the "
        "Conv operator",
    ),
    (
        [
            "[localCheckMacros.cpp::getErrorStr::132] Error Code 2: OutOfMemory (Requested size "
            "was 68719540592 bytes.)",
            DRIVER,
        ],
        "it asks for 68.7 GB of memory at these sizes; a smaller height or length may do",
    ),
    ([DRIVER], "cudaError 35: CUDA driver version is insufficient for CUDA runtime version"),
    ([], "no reason was given"),
    (["", "  \n"], "no reason was given"),
    (["something else\nin two lines"], "something else in two lines"),
]


@pytest.mark.parametrize(("lines", "said"), CASES)
def test_one_line_with_the_node_and_the_reason(lines: list[str], said: str) -> None:
    assert reason(lines) == said


def test_it_stays_short() -> None:
    assert len(reason(["long " * 1000])) < 300
