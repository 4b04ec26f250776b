// A vector register as a type: `Vec<float>` holds 16, 8 or 4 numbers, whatever the instruction set that this file is
// being compiled for has, and `+ - * /` work on all of them at once (GCC's and Clang's vector extension).
//
// Most kernels need none of this: the compiler turns a plain loop over independent elements into vector instructions by
// itself (`-O3`; `#pragma omp simd reduction` where a sum's order may change). Registers are named where they are the
// point: in the matrix product, and in reductions that hold several sums at once.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#endif

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
template <class T, class V = Vec<T>>
inline V load(const T* from) {
    V v;
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
// The first n numbers alone, 0 <= n < kLanes<T>, and `fill` in the other lanes: the end of a row. With masks it is fast.
#if defined(__AVX512F__) && defined(__AVX512BW__)
constexpr bool kMasks = true;
#else
constexpr bool kMasks = false;
#endif
template <class T>
inline Vec<T> load_first(const T* from, long n, T fill) {
    Vec<T> v = broadcast(fill);
#if defined(__AVX512F__) && defined(__AVX512BW__)
    const unsigned long lanes = (1ul << n) - 1;
    if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_mask_loadu_epi64((__m512i)v, static_cast<__mmask8>(lanes), from);
    if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_mask_loadu_epi32((__m512i)v, static_cast<__mmask16>(lanes), from);
    if constexpr (sizeof(T) == 1) return (Vec<T>)_mm512_mask_loadu_epi8((__m512i)v, lanes, from);
#endif
    std::memcpy(&v, from, static_cast<std::size_t>(n) * sizeof(T));
    return v;
}

// Lanes `low` to `high` alone, of a vector that lies in memory from that address on; the others are 0, and not touched.
template <class T>
inline Vec<T> load_lanes(const T* from, long low, long high) {
#if defined(__AVX512F__) && defined(__AVX512BW__)
    const unsigned long lanes = (1ul << high) - (1ul << low);
    if constexpr (sizeof(T) == 8) return _mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), from);
    if constexpr (sizeof(T) == 4) return _mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes), from);
#endif
    Vec<T> v{};
    for (long i = low; i < high; ++i) v[i] = from[i];
    return v;
}
template <class T>
inline void store_lanes(T* to, Vec<T> v, long low, long high) {
#if defined(__AVX512F__) && defined(__AVX512BW__)
    const unsigned long lanes = (1ul << high) - (1ul << low);
    if constexpr (sizeof(T) == 8) return _mm512_mask_storeu_pd(to, static_cast<__mmask8>(lanes), v);
    if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_ps(to, static_cast<__mmask16>(lanes), v);
#endif
    for (long i = low; i < high; ++i) to[i] = v[i];
}

// Places of a vector's numbers, for __builtin_shuffle.
template <class T>
using Places = Vec<std::conditional_t<sizeof(T) == 4, int, long>>;

// As many vectors as they have lanes, transposed: rows become columns. In each of log2(lanes) rounds every vector is
// interleaved with the one half of them further on.
template <class T, int Round = 1>
[[gnu::always_inline]] inline void transpose(Vec<T> (&x)[kLanes<T>]) {
    constexpr int L = kLanes<T>;
    if constexpr (Round < L) {
        Places<T> low, high;
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) low[i] = i / 2 + i % 2 * L, high[i] = low[i] + L / 2;
        Vec<T> y[L];
#pragma GCC unroll 16
        for (int i = 0; i < L / 2; ++i) {
            y[2 * i] = __builtin_shuffle(x[i], x[i + L / 2], low);
            y[2 * i + 1] = __builtin_shuffle(x[i], x[i + L / 2], high);
        }
        transpose<T, Round * 2>(y);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) x[i] = y[i];
    }
}

// The sum of each vector's lanes, one vector's beside the other's: in each round two vectors become one that holds the
// sums of both's neighbours.
template <class T>
[[gnu::always_inline]] inline Vec<T> add_lanes(Vec<T> (&x)[kLanes<T>]) {
    constexpr int L = kLanes<T>;
    Places<T> even, odd;
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) even[i] = 2 * i, odd[i] = 2 * i + 1;
#pragma GCC unroll 4
    for (int n = L / 2; n > 0; n /= 2)
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i)
            x[i] = __builtin_shuffle(x[2 * i], x[2 * i + 1], even) + __builtin_shuffle(x[2 * i], x[2 * i + 1], odd);
    return x[0];
}

constexpr auto add = [](auto a, auto b) { return a + b; };

// All lanes become one number: the lower half is combined with the upper one, then the halves of that, and so on.
template <class T, class V, class Combine, int... I>
inline T fold(V v, const Combine& combine, std::integer_sequence<int, I...>) {
    constexpr int half = sizeof...(I);
    if constexpr (half == 1) return combine(v[0], v[1]);
    else return fold<T>(combine(__builtin_shufflevector(v, v, I...), __builtin_shufflevector(v, v, (I + half)...)), combine,
                        std::make_integer_sequence<int, half / 2>());
}
template <class T, class Combine>
inline T fold_lanes(Vec<T> v, const Combine& combine) {
    return fold<T>(v, combine, std::make_integer_sequence<int, kLanes<T> / 2>());
}

// The n numbers of a row become one; `neutral` is what changes nothing. Four vectors are in hand, so that none waits.
template <class T, class F>
inline T fold_row(const T* x, long n, T neutral, const F& combine) {
    constexpr long L = kLanes<T>;
    if (kMasks && n < L) return fold_lanes<T>(load_first(x, n, neutral), combine);
    if (n < L) {
        T one = neutral;
        for (long i = 0; i < n; ++i) one = combine(one, x[i]);
        return one;
    }
    Vec<T> a = broadcast(neutral), b = a, c = a, d = a;
    long i = 0;
    for (; n - i >= 4 * L; i += 4 * L) {
        a = combine(a, load(x + i)), b = combine(b, load(x + i + L));
        c = combine(c, load(x + i + 2 * L)), d = combine(d, load(x + i + 3 * L));
    }
    for (; n - i >= L; i += L) a = combine(a, load(x + i));
    b = combine(b, load_first(x + i, n - i, neutral));
    return fold_lanes<T>(combine(combine(a, b), combine(c, d)), combine);
}

}  // namespace tg
