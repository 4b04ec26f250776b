// The cells of recurrent networks: what is done to a step's numbers between two matrix products, forward and backward.
//
// A cell sees some features of one sample at one step: the pre-activations of its gates, `a`, and the state before. It works
// in one pass on all gates at once, feature by feature, which the compiler turns into vector instructions. Forward it makes
// the state after, and in `kept` what backward needs. Backward it is given the cotangent of the state after, `g` from outside
// plus `dh` from the step after, and makes of it those of the pre-activations, `d`, and what goes straight to the state
// before, again `dh` (the rest goes through the product with the weights). With s the sigmoid, s' = s (1 - s) and
// tanh' = 1 - tanh^2.
//
// Sources: the papers that tinygrad_edu/nn/recurrent.py names; the gradients are a calculation.
#pragma once

#include "math.hpp"
#include "pool.hpp"

namespace tg {

template <class T>
struct Step {
    Index n, H, a_gate;            // features; how far one gate's are from the next one's in `d` and in `a`
    const T* a;                    // kRows gates, forward only
    T* kept;                       // kKept times n numbers
    const T *h_before, *c_before;  // the state before; c: the LSTM's
    T* h;                          // the state after
    const T* g = nullptr;          // backward only, as what follows
    T *d = nullptr, *dh = nullptr, *dc = nullptr;
};

// h = tanh(a), or relu. Nothing is kept: both slopes can be told from h.
template <bool Relu>
struct RnnCell {
    static constexpr int kGates = 1, kRows = 1, kKept = 0;
    static constexpr bool kApart = false, kHasC = false;

    template <class T>
    static void forward(const Step<T>& s) {
#pragma omp simd
        for (Index k = 0; k < s.n; ++k) s.h[k] = !Relu ? tanh_(s.a[k]) : s.a[k] < 0 ? T(0) : s.a[k];  // a NaN stays
    }
    template <class T>
    static void backward(const Step<T>& s) {
#pragma omp simd
        for (Index k = 0; k < s.n; ++k) {
            const T to_h = s.g[k] + s.dh[k];
            s.d[k] = !Relu ? to_h * (1 - s.h[k] * s.h[k]) : s.h[k] <= 0 ? T(0) : to_h;
            s.dh[k] = 0;
        }
    }
};

// i, f, o = s(a), g = tanh(a);  c = f c + i g;  h = o tanh(c). The gates and c are kept, tanh(c) is made again.
struct LstmCell {
    static constexpr int kGates = 4, kRows = 4, kKept = 5;
    static constexpr bool kApart = false, kHasC = true;

    template <class T>
    static void forward(const Step<T>& s) {
        const T *const a_i = s.a, *const a_f = a_i + s.a_gate, *const a_g = a_f + s.a_gate, *const a_o = a_g + s.a_gate;
        T *const i = s.kept, *const f = i + s.n, *const g = f + s.n, *const o = g + s.n, *const c = o + s.n;
#pragma omp simd
        for (Index k = 0; k < s.n; ++k) {
            i[k] = sigmoid_(a_i[k]), f[k] = sigmoid_(a_f[k]), g[k] = tanh_(a_g[k]), o[k] = sigmoid_(a_o[k]);
            c[k] = f[k] * s.c_before[k] + i[k] * g[k];
            s.h[k] = o[k] * tanh_(c[k]);
        }
    }
    template <class T>
    static void backward(const Step<T>& s) {
        const T *const i = s.kept, *const f = i + s.n, *const g = f + s.n, *const o = g + s.n, *const c = o + s.n;
#pragma omp simd
        for (Index k = 0; k < s.n; ++k) {
            const T tanh_c = tanh_(c[k]), to_h = s.g[k] + s.dh[k], to_c = s.dc[k] + to_h * o[k] * (1 - tanh_c * tanh_c);
            s.d[k] = to_c * g[k] * (i[k] * (1 - i[k]));
            s.d[s.H + k] = to_c * s.c_before[k] * (f[k] * (1 - f[k]));
            s.d[2 * s.H + k] = to_c * i[k] * (1 - g[k] * g[k]);
            s.d[3 * s.H + k] = to_h * tanh_c * (o[k] * (1 - o[k]));
            s.dc[k] = to_c * f[k];
            s.dh[k] = 0;
        }
    }
};

// r, z = s(a), n = tanh(x + r y), where x and y are the input's and the state's part of its pre-activation, which stand
// apart;  h = n + z (h - n). The order is x, r, z, y in `a`, and n, r, z, y in `kept`.
struct GruCell {
    static constexpr int kGates = 3, kRows = 4, kKept = 4;
    static constexpr bool kApart = true, kHasC = false;

    template <class T>
    static void forward(const Step<T>& s) {
        const T *const x = s.a, *const a_r = x + s.a_gate, *const a_z = a_r + s.a_gate, *const a_y = a_z + s.a_gate;
        T *const n = s.kept, *const r = n + s.n, *const z = r + s.n, *const y = z + s.n;
#pragma omp simd
        for (Index k = 0; k < s.n; ++k) {
            r[k] = sigmoid_(a_r[k]), z[k] = sigmoid_(a_z[k]), y[k] = a_y[k], n[k] = tanh_(x[k] + r[k] * y[k]);
            s.h[k] = n[k] + z[k] * (s.h_before[k] - n[k]);
        }
    }
    template <class T>
    static void backward(const Step<T>& s) {
        const T *const n = s.kept, *const r = n + s.n, *const z = r + s.n, *const y = z + s.n;
#pragma omp simd
        for (Index k = 0; k < s.n; ++k) {
            const T to_h = s.g[k] + s.dh[k], to_n = to_h * (1 - z[k]) * (1 - n[k] * n[k]);
            s.d[k] = to_n;
            s.d[s.H + k] = to_n * y[k] * (r[k] * (1 - r[k]));
            s.d[2 * s.H + k] = to_h * (s.h_before[k] - n[k]) * (z[k] * (1 - z[k]));
            s.d[3 * s.H + k] = to_n * r[k];
            s.dh[k] = to_h * z[k];
        }
    }
};

}  // namespace tg
