// Memory for arrays and for scratch.
//
// The operating system hands out large memory as pages that it fills with zeros at the first touch, which takes as long
// as some ten passes over the page once it is there. A training step asks for the same sizes again and again: so blocks
// that are given back are kept, by size, and handed out again. Blocks of 2 MB and more ask for huge pages, which spare
// the processor most of its address translations.
#pragma once

#include <cstddef>

namespace tg {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector

// A block of at least `bytes` bytes, aligned to kAlignment; std::bad_alloc if there is none.
void* acquire(std::size_t bytes);
// Gives back a block that was acquired with that very number of bytes.
void release(void* block, std::size_t bytes);

// Scratch memory of this thread that stays until the thread ends. Each subject has a slot of its own, so that a kernel
// that calls another one (a convolution the matrix product) does not lose its own.
enum class Slot { gemm_a, gemm_b, gemm_c, conv_a, conv_b, recurrent, attention, reduce, other, count };
void* scratch_bytes(Slot slot, std::size_t bytes);
template <class T>
T* scratch(Slot slot, long count) {
    return static_cast<T*>(scratch_bytes(slot, static_cast<std::size_t>(count) * sizeof(T)));
}

}  // namespace tg
