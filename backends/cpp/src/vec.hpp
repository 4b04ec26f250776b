// A vector register as a type: `Vec<float>` holds 16, 8 or 4 numbers, whatever the instruction set that this file is
// being compiled for has, and `+ - * /` work on all of them at once (GCC's and Clang's vector extension).
//
// Most kernels need none of this: the compiler turns a plain loop over independent elements into vector instructions by
// itself (`-O3`; `#pragma omp simd reduction` where a sum's order may change). Registers are named where they are the
// point: in the matrix product, and in reductions that hold several sums at once.
#pragma once

#include <cstring>

namespace tg {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
using Vec [[gnu::vector_size(kVectorBytes)]] = T;

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

// Reading and writing at any address; compiled to one unaligned move.
template <class T>
inline Vec<T> load(const T* from) {
    Vec<T> v;
    std::memcpy(&v, from, sizeof v);
    return v;
}
template <class T>
inline void store(T* to, Vec<T> v) {
    std::memcpy(to, &v, sizeof v);
}
template <class T>
inline Vec<T> broadcast(T x) {
    return x - Vec<T>{};
}

}  // namespace tg
