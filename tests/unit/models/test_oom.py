from __future__ import annotations

import numpy as np
import pytest

from lipsync.errors import DeviceUnavailable, InferenceFailed, ModelCorrupt, OutOfMemory
from lipsync.models.oom import is_out_of_memory, map_error

# Texts as users and the runtimes' own sources show them (issues of microsoft/onnxruntime, NVIDIA/TensorRT,
# openvinotoolkit/openvino, ggml-org/llama.cpp, huggingface/diffusers), or as seen here.
OUT_OF_MEMORY = [
    "std::bad_alloc",
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Expand node. Name:'' "
    "Status Message: std::bad_alloc",
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: bad allocation",
    "Exception from src\\inference\\src\\cpp\\core.cpp:113:\nException from src\\inference\\src\\dev\\plugin.cpp:53:\n"
    "Exception from src\\core\\src\\runtime\\allocator.cpp:79:\nbad allocation\n",
    "Exception from src/inference/src/cpp/infer_request.cpp:224:\nException from src/plugins/intel_cpu/src/node.cpp:794"
    ":\n[CPU] Broadcast node with name 'Broadcast_35597' Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp"
    ":257:\nFailed to allocate 34359738368 bytes of memory\n\n\n",
    "Check 'false' failed at C:\\Jenkins\\workspace\\openvino\\src\\inference\\src\\core.cpp:117: "
    "Failed to allocate 74784858112 bytes of memory",
    "Could not allocate memory",
    "[CPU] Convolution node with name 'conv24/WithoutBiases' can't alloc",
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Expand node. Name:'' Status Message: "
    "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal("
    "size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 17592186044416\n",
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running TfIdfVectorizer node. "
    "Name:'TfIdfVectorizer' Status Message: /Users/runner/1/s/onnxruntime/core/framework/bfc_arena.cc:376 void *"
    "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream *, bool, "
    "onnxruntime::WaitNotificationFn) Available memory of 0 is smaller than requested bytes of 2048",
    "[ONNXRuntimeError] : 1 : FAIL : D:\\a\\_work\\1\\s\\onnxruntime\\core\\providers\\cuda\\cuda_call.cc:121 "
    "onnxruntime::CudaCall CUDA failure 2: out of memory ; GPU=0 ; hostname=DESKTOP ; file=D:\\a\\_work\\1\\s\\"
    "onnxruntime\\core\\providers\\cuda\\cuda_stream_handle.cc ; line=175 ; "
    "expr=cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);",
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=host ; expr=cudaMalloc((void**)&p, size);",
    "CUDA error: out of memory",
    "cudaErrorMemoryAllocation",
    "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=host ; expr=cublasCreate(&cublas_handle_);",
    "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=host ; expr=cudnnCreate(&cudnn_handle_);",
    "CUDNN failure 4004: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
    "CUDNN failure 4003: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ; GPU=0",
    "../rtSafe/safeRuntime.cpp (25) - Cuda Error in allocate: 2 (out of memory)",
    "C:\\source\\rtSafe\\safeRuntime.cpp (25) - Cuda Error in nvinfer1::internal::DefaultAllocator::allocate: 2 "
    "(out of memory)",
    "[defaultAllocator.cpp::nvinfer1::internal::DefaultAllocator::allocate::63] Error Code 1: Cuda Runtime "
    "(out of memory)",
    "[virtualMemoryBuffer.cpp::resizePhysical::160] Error Code 2: OutOfMemory (no further information)",
    "[executionContext.cpp::initializeExecutionContext::644] Error Code 2: OutOfMemory "
    "(Requested size was 149635638784 bytes.)",
    "Non-zero status code returned while running MemcpyToHost node. Name:'Memcpy_token_29' Status Message: D:\\a\\_work"
    "\\1\\s\\onnxruntime\\core\\providers\\dml\\DmlExecutionProvider\\src\\MLOperatorAuthorImpl.cpp(1978)\\"
    "onnxruntime_pybind11_state.pyd!00007FFBDC8EBB9F: (caller: 00007FFBDCFFDEFF) Exception(3) tid(4304) 8007000E "
    "Not enough memory resources are available to complete this operation.",
    "Exception(1) tid(1c5c) 8007000E Nicht genügend Arbeitsspeicherressourcen verfügbar, um diesen Vorgang "
    "auszuführen.",
    "hresult 0x8007000e",
    "Execution of the command buffer was aborted due to an error during execution. Insufficient Memory "
    "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    'Error Domain=MTLCommandBufferErrorDomain Code=8 "Insufficient Memory (IOAF code 8)"',
]
SOMETHING_ELSE = [
    "",
    "out of range",
    "memory",
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=host ; expr=cudaEventDestroy(e);",
    "CUDA failure 77: an illegal memory access was encountered ; GPU=0",
    "CUDA failure 719: unspecified launch failure ; GPU=0",
    "CUDA failure 100: no CUDA-capable device is detected ; GPU=0",
    "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0",
    "CUDA failure 21: out of memory bounds",
    "CUDA error executing cudaMemcpy(dst_data, src_data, bytes, cudaMemcpyDeviceToHost)",
    "cudaErrorMemoryValueTooLarge",
    "CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0",
    "CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0",
    "CUDNN failure 4005: CUDNN_STATUS_INTERNAL_ERROR_BAD_LAUNCH_PARAM ; GPU=0",
    "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0",
    "CUBLAS failure 1: CUBLAS_STATUS_NOT_INITIALIZED ; GPU=0",
    "libcublasLt.so.12: cannot open shared object file: No such file or directory",
    "/usr/lib/libcudnn.so.9: failed to map segment from shared object",
    "failed to map memory-mapped file weights.bin",
    "unable to open shared memory object </torch_123> in read-write mode",
    "too much shared memory requested: 98304 bytes",
    "address out of bounds: memory access at 0x10",
    "index out of bounds in memory pool",
    "vector::_M_range_check: __n (which is 4) >= this->size() (which is 4)",
    "std::bad_cast",
    "std::bad_array_new_length",
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Add node. Name:'' Status Message: "
    "/onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:583 void "
    "onnxruntime::BroadcastIterator::Append(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. Attempting "
    "to broadcast an axis by a dimension other than 1. 2 by 3\n",
    "[ONNXRuntimeError] : 1 : FAIL : Calculation for Tensor storage size overflowed",
    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid rank for input: b Got: 3 Expected: 2 Please fix either the "
    "inputs/outputs or the model.",
    "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Failed to load model because protobuf parsing failed.",
    "[ONNXRuntimeError] : 11 : EP_FAIL : TensorRT EP failed to create engine from network for fused node",
    "There was a problem acquiring temporary memory allocator in Einsum op",
    "expected memory type GPU, available memory of the node is CPU",
    "Check 'retCode == dnnl::impl::status::success' failed at src/plugins/intel_cpu/src/memory_desc/"
    "dnnl_blocked_memory_desc.cpp:481:\nCan not clone DnnlBlockedMemoryDesc with dims: {1048576, 4194304}",
    "Cannot allocate memory for incompatible descriptors.",
    "Can't allocate registers for a snippet: not enough registers",
    "Failed to allocate aux GPR",
    "Failed to allocate required number of vector registers",
    "[Errno 28] No space left on device",
    "Exception(1) tid(10) 887A0005 The GPU device instance has been suspended.",
    "Exception(1) tid(10) 80070057 The parameter is incorrect.",
    "onnxruntime_pybind11_state.pyd!00008007000E0000",
    "Error Code 4: Internal Error (Network must have at least one output)",
    "Error Code 1: Cuda Runtime (an illegal memory access was encountered)",
    "Cuda Error in execute: 77 (an illegal memory access was encountered)",
    "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)",
    "Invalid Resource (00000009:kIOGPUCommandBufferCallbackErrorInvalidResource)",
]


@pytest.mark.parametrize("text", OUT_OF_MEMORY)
def test_the_message_of_every_runtime_is_recognized(text):
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("text", SOMETHING_ELSE)
def test_other_messages_are_not_recognized(text):
    assert not is_out_of_memory(RuntimeError(text))


def test_pythons_own_errors_are_recognized():
    assert is_out_of_memory(MemoryError())
    with pytest.raises(MemoryError) as raised:
        np.empty(1 << 60, np.uint8)
    assert is_out_of_memory(raised.value)
    assert is_out_of_memory(OutOfMemory("elsewhere"))


def test_an_error_is_mapped_to_its_cause():
    assert isinstance(map_error(MemoryError(), InferenceFailed, "it failed"), OutOfMemory)
    assert isinstance(map_error(ValueError("2 by 3"), InferenceFailed, "it failed"), InferenceFailed)
    assert isinstance(map_error(ValueError("2 by 3"), ModelCorrupt, "it failed"), ModelCorrupt)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it failed: ValueError"),
        ("2 by 3", "it failed: 2 by 3"),
        (
            "Exception from a.cpp:1:\nException from b.cpp:2:\n[CPU] Check failed:\n  2 by 3\n\n",
            "it failed: [CPU] Check failed: 2 by 3",
        ),
    ],
)
def test_a_message_is_one_line_without_source_locations(text, message):
    assert str(map_error(ValueError(text), DeviceUnavailable, "it failed")) == message


def test_a_long_message_is_cut():
    assert len(str(map_error(ValueError("x" * 9999), ModelCorrupt, "it failed"))) < 500
