// The cells of recurrent networks: what is done to a step's numbers between two matrix products, forward and backward.
//
// A cell sees one step of one block of samples as arrays of n = H * lanes numbers (H hidden features, a few samples side
// by side): the pre-activations of its gates, one array below the other in `rows`; the state before, and after. It works
// in one pass on all arrays at once, element by element, which the compiler turns into vector instructions. Forward it
// leaves in `rows` what backward needs. Backward it is given the cotangent `dh` of the new state, and makes of it those
// of the pre-activations, `d`, and what of dh goes straight to the state before (the rest goes through the product with
// the weights). With s the sigmoid, s' = s (1 - s) and tanh' = 1 - tanh^2.
//
// Sources: the papers that tinygrad_edu/nn/recurrent.py names; the gradients are a calculation.
#pragma once

#include "math.hpp"
#include "pool.hpp"

namespace tg {

template <class T>
struct Step {
    Index n, begin, end;                 // of all numbers, those to be worked on
    T* rows;                             // kRows * n numbers, kKept * n of which are kept for the backward pass
    const T *h_before, *c_before;        // the state before; c: the LSTM's
    T* h;                                // the state after; backward it is only read
    T *d = nullptr, *dh = nullptr, *dc = nullptr;  // backward only
};

// h = tanh(a), or relu. Nothing is kept: both slopes can be told from h.
struct RnnCell {
    static constexpr int kGates = 1, kRows = 1, kKept = 0;
    static constexpr bool kApart = false, kHasC = false;
    bool relu;

    template <class T>
    void forward(const Step<T>& s) const {
        const T* const a = s.rows;
        T* const h = s.h;
        if (relu) {
#pragma omp simd
            for (Index i = s.begin; i < s.end; ++i) h[i] = a[i] < 0 ? T(0) : a[i];  // a NaN stays
        } else {
#pragma omp simd
            for (Index i = s.begin; i < s.end; ++i) h[i] = tanh_(a[i]);
        }
    }
    template <class T>
    void backward(const Step<T>& s) const {
        const T* const h = s.h;
        T *const d = s.d, *const dh = s.dh;
        if (relu) {
#pragma omp simd
            for (Index i = s.begin; i < s.end; ++i) d[i] = h[i] <= 0 ? T(0) : dh[i], dh[i] = 0;
        } else {
#pragma omp simd
            for (Index i = s.begin; i < s.end; ++i) d[i] = dh[i] * (1 - h[i] * h[i]), dh[i] = 0;
        }
    }
};

// i, f, o = s(a), g = tanh(a);  c = f c + i g;  h = o tanh(c). The gates and c are kept, tanh(c) is made again.
struct LstmCell {
    static constexpr int kGates = 4, kRows = 4, kKept = 5;
    static constexpr bool kApart = false, kHasC = true;

    template <class T>
    void forward(const Step<T>& s) const {
        const Index n = s.n;
        T *const i = s.rows, *const f = i + n, *const g = f + n, *const o = g + n, *const c = o + n, *const h = s.h;
        const T* const c_before = s.c_before;
#pragma omp simd
        for (Index k = s.begin; k < s.end; ++k) {
            i[k] = sigmoid_(i[k]), f[k] = sigmoid_(f[k]), g[k] = tanh_(g[k]), o[k] = sigmoid_(o[k]);
            c[k] = f[k] * c_before[k] + i[k] * g[k];
            h[k] = o[k] * tanh_(c[k]);
        }
    }
    template <class T>
    void backward(const Step<T>& s) const {
        const Index n = s.n;
        const T *const i = s.rows, *const f = i + n, *const g = f + n, *const o = g + n, *const c = o + n;
        const T* const c_before = s.c_before;
        T *const d = s.d, *const dh = s.dh, *const dc = s.dc;
#pragma omp simd
        for (Index k = s.begin; k < s.end; ++k) {
            const T tanh_c = tanh_(c[k]), to_c = dc[k] + dh[k] * o[k] * (1 - tanh_c * tanh_c);
            d[k] = to_c * g[k] * (i[k] * (1 - i[k]));
            d[n + k] = to_c * c_before[k] * (f[k] * (1 - f[k]));
            d[2 * n + k] = to_c * i[k] * (1 - g[k] * g[k]);
            d[3 * n + k] = dh[k] * tanh_c * (o[k] * (1 - o[k]));
            dc[k] = to_c * f[k];
            dh[k] = 0;
        }
    }
};

// r, z = s(a), n = tanh(x + r y), where x and y are the input's and the state's part of its pre-activation, which stand
// apart;  h = n + z (h - n). r, z, n and y are kept.
struct GruCell {
    static constexpr int kGates = 3, kRows = 4, kKept = 4;
    static constexpr bool kApart = true, kHasC = false;

    template <class T>
    void forward(const Step<T>& s) const {
        const Index n = s.n;
        T *const r = s.rows, *const z = r + n, *const x = z + n, *const y = x + n, *const h = s.h;
        const T* const before = s.h_before;
#pragma omp simd
        for (Index k = s.begin; k < s.end; ++k) {
            r[k] = sigmoid_(r[k]), z[k] = sigmoid_(z[k]), x[k] = tanh_(x[k] + r[k] * y[k]);
            h[k] = x[k] + z[k] * (before[k] - x[k]);
        }
    }
    template <class T>
    void backward(const Step<T>& s) const {
        const Index n = s.n;
        const T *const r = s.rows, *const z = r + n, *const x = z + n, *const y = x + n, *const before = s.h_before;
        T *const d = s.d, *const dh = s.dh;
#pragma omp simd
        for (Index k = s.begin; k < s.end; ++k) {
            const T to_x = dh[k] * (1 - z[k]) * (1 - x[k] * x[k]);
            d[k] = to_x * y[k] * (r[k] * (1 - r[k]));
            d[n + k] = dh[k] * (before[k] - x[k]) * (z[k] * (1 - z[k]));
            d[2 * n + k] = to_x;
            d[3 * n + k] = to_x * r[k];
            dh[k] *= z[k];
        }
    }
};

}  // namespace tg
