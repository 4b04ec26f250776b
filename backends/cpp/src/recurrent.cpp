// RNN, LSTM and GRU over a whole sequence, and back through time.
//
// One step is two small matrix products, W_ih x and W_hh h, and some activations. Called one by one from Python, a
// sequence of 64 steps takes a thousand calls; here it is one. What is fast about it:
//
//   * Threads share a step's features, all samples of up to 64 at once: so each thread needs only some rows of the weights,
//     which stay in its second cache from step to step. They are packed once, as the product wants them (tile.hpp), and
//     what it makes goes through the cell at once. Threads wait for each other after each step.
//   * Backward, each step makes d, the cotangents of its pre-activations, and sends W_hh^T d to the step before. All else
//     can wait: when the steps are done, large products make of their d
//
//         gx = d W_ih        gW_ih = d^T x        gW_hh = d^T (h before)        gb = sum of d
//
// The shares depend on the shape alone, so any number of threads gives the same bits.
//
// Source: P. Werbos, "Backpropagation through time: what it does and how to do it", 1990.

#include "cells.hpp"
#include "gemm.hpp"
#include "subjects.hpp"
#include "tile.hpp"

namespace tg {
namespace {

constexpr Index kSamples = 64;     // of a share
template <class T>
constexpr Index kFeatures = 256 / static_cast<Index>(sizeof(T));
constexpr Index kSmall = 1 << 17;  // multiplications below which nobody is woken

struct Sizes {
    Index T, B, D, H;  // time, batch, features, hidden
};

// Calls body(first sample, samples, first feature, features) for each share of a step: a thread has the same features in
// every step, so that their weights are in its cache.
template <class T, class Body>
void each_share(const Sizes& s, Index gates, const Body& body) {
    const Index across = ceil_div(s.H, kFeatures<T>), down = ceil_div(s.B, kSamples);
    const Index team = s.B * s.H * s.H * gates >= kSmall ? std::min<Index>(threads(), across * down) : 1;
    parallel(team, [&](Index part) {
        for (Index i = part * across * down / team; i < (part + 1) * across * down / team; ++i) {
            const Index b = i % down * kSamples, j = i / down * kFeatures<T>;
            body(b, std::min(kSamples, s.B - b), j, std::min(kFeatures<T>, s.H - j));
        }
    });
}

// A layer's arrays in the order of its arguments, or their gradients, or pointers to either; c0 is the LSTM's alone. Empty,
// or nullptr, where there is none.
template <class A>
struct Arrays {
    A x, h0, c0, w_ih, w_hh, b_ih, b_hh;
};
template <class T>
Arrays<T*> pointers(const Arrays<Array>& a) {
    return {a.x.at<T>(), a.h0.at<T>(), a.c0.at<T>(), a.w_ih.at<T>(), a.w_hh.at<T>(), a.b_ih.at<T>(), a.b_hh.at<T>()};
}

template <class T>
struct Layer : Arrays<T*> {
    Sizes s;
    const T* before(const T* out, Index t) const { return t ? out + (t - 1) * s.B * s.H : this->h0; }
};

// Calls f(gate, gates, row): these gates of W_ih make the pre-activations from that row on.
template <class Cell, class F>
void input_gates(const F& f) {
    f(0, Cell::kGates - Cell::kApart, Cell::kApart);
    if (Cell::kApart) f(Cell::kGates - 1, 1, 0);
}

// The weights of each gate and share of features, W_ih above W_hh, as a product wants them: (D + H, features).
template <class Cell, class T>
const T* pack(const Layer<T>& l) {
    const Index D = l.s.D, H = l.s.H, Hp = padded<T>(H);
    T* const panels = scratch<T>(Slot::recurrent, (Cell::kGates * Hp + 1) * (D + H + kLanes<T>));
    for (Index gate = 0; gate < Cell::kGates; ++gate)
        for (Index j = 0; j < H; j += kFeatures<T>) {
            const Index n = std::min(kFeatures<T>, H - j), width = padded<T>(n);
            T* const to = panels + (gate * Hp + j) * (D + H);
            pack_panel(l.w_ih + (gate * H + j) * D, D, Index(1), n, D, width, to);
            pack_panel(l.w_hh + (gate * H + j) * H, H, Index(1), n, H, width, to + D * width);
        }
    return panels;
}

template <class Cell, class T>
void forward(const Layer<T>& l, T* out, T* kept) {
    const Index B = l.s.B, D = l.s.D, H = l.s.H, Hp = padded<T>(H), width = Cell::kKept * H;
    T* const bias = scratch<T>(Slot::other, Cell::kRows * H);
    std::fill_n(bias, Cell::kRows * H, T(0));
    input_gates<Cell>([&](Index gate, Index gates, Index row) {
        if (l.b_ih) std::copy_n(l.b_ih + gate * H, gates * H, bias + row * H);
    });
    for (Index j = 0; l.b_hh && j < Cell::kGates * H; ++j) bias[Cell::kApart * H + j] += l.b_hh[j];
    const T* const w = pack<Cell>(l);
    for (Index t = 0; t < l.s.T; ++t)
        each_share<T>(l.s, Cell::kGates, [&](Index b0, Index samples, Index j0, Index features) {
            T a[kSamples * Cell::kRows * kFeatures<T>];  // the pre-activations
            const Index n = padded<T>(features), row = Cell::kRows * n;
            for (Index i = 0; i < samples * Cell::kRows; ++i)
                std::copy_n(bias + i % Cell::kRows * H + j0, features, a + i * n);
            const T *const x = l.x + (t * B + b0) * D, *const h = l.before(out, t) + b0 * H;
            for (Index gate = 0; gate < Cell::kGates; ++gate) {
                const T* const of_gate = w + (gate * Hp + j0) * (D + H);
                const Index state = gate + Cell::kApart, input = state < Cell::kRows - Cell::kApart ? state : 0;
                multiply(Product<T>{samples, D, n, x, D, 1, of_gate, a + input * n, row, true});
                multiply(Product<T>{samples, H, n, h, H, 1, of_gate + D * n, a + state * n, row, true});
            }
            for (Index b = 0; b < samples; ++b) {
                const Index i = t * B + b0 + b;
                T* const mine = kept + (t * B + b0) * width + (samples * j0 + b * features) * Cell::kKept;
                const T* const c = Cell::kHasC && t ? mine - B * width + 4 * features : l.c0 + (b0 + b) * H + j0;
                Cell::forward(Step<T>{features, H, n, a + b * row, mine, h + b * H + j0, c, out + i * H + j0});
                if (Cell::kHasC && t + 1 == l.s.T) std::copy_n(mine + 4 * features, features, out + (i + B) * H + j0);
            }
        });
}

// Makes the gradients that are wanted. c0's is there for any cell, as it holds each step's on the way back.
// d: (T, B, d_row), room for the cotangents of all pre-activations.
template <class Cell, class T>
void backward(const Layer<T>& l, const T* out, T* kept, const T* g, T* d, Index d_row, const Arrays<T*>& to) {
    const Index time = l.s.T, B = l.s.B, D = l.s.D, H = l.s.H, Hp = padded<T>(H), width = Cell::kKept * H;
    const Index all = Cell::kGates * H, steps = time * B;
    const T* const d_state = d + Cell::kApart * H;
    T *const dh = scratch<T>(Slot::recurrent, (B + all + 1) * Hp), *const w = dh + B * Hp;  // w: W_hh for each share
    for (Index j = 0; j < H; j += kFeatures<T>) {
        const Index n = std::min(kFeatures<T>, H - j);
        pack_panel(l.w_hh + j, Index(1), H, n, all, padded<T>(n), w + j * all);
    }
    std::fill_n(dh, B * Hp, T(0));
    if (Cell::kHasC) std::copy_n(g + steps * H, B * H, to.c0);
    for (Index t = time - 1; t >= (to.h0 ? -1 : 0); --t)
        each_share<T>(l.s, Cell::kGates, [&](Index b0, Index samples, Index j0, Index features) {
            const T* const after = d_state + ((t + 1) * B + b0) * d_row;
            if (t + 1 < time)
                multiply(Product<T>{samples, all, padded<T>(features), after, d_row, 1, w + j0 * all, dh + b0 * Hp + j0, Hp,
                                    true});
            for (Index b = b0; t >= 0 && b < b0 + samples; ++b) {
                const Index i = t * B + b, at = b * H + j0;
                T* const mine = kept + (t * B + b0) * width + (samples * j0 + (b - b0) * features) * Cell::kKept;
                const T* const c = Cell::kHasC && t ? mine - B * width + 4 * features : l.c0 + at;
                Cell::backward(Step<T>{features, H, 0, nullptr, mine, l.before(out, t) + at, c, const_cast<T*>(out) + i * H + j0,
                                       g + i * H + j0, d + i * d_row + j0, dh + b * Hp + j0, to.c0 + at});
            }
        });
    for (Index b = 0; to.h0 && b < B; ++b) std::copy_n(dh + b * Hp, H, to.h0 + b * H);
    input_gates<Cell>([&](Index gate, Index gates, Index row) {
        const Matrix<T> part{d + row * H, steps, gates * H, d_row, 1};
        const Epilogue<T> epilogue{nullptr, Activation::none, gate > 0};
        if (to.x) gemm<T>(part, {l.w_ih + gate * H * D, gates * H, D, D, 1}, to.x, D, epilogue);
        if (to.w_ih) gemm<T>(part.transposed(), {l.x, steps, D, D, 1}, to.w_ih + gate * H * D, D);
    });
    if (to.w_hh) {
        gemm<T>(Matrix<T>{d_state, B, all, d_row, 1}.transposed(), {l.h0, B, H, H, 1}, to.w_hh, H);
        gemm<T>(Matrix<T>{d_state + B * d_row, steps - B, all, d_row, 1}.transposed(), {out, steps - B, H, H, 1}, to.w_hh, H,
                {nullptr, Activation::none, true});
    }
    if (!to.b_ih && !to.b_hh) return;
    T* const sums = scratch<T>(Slot::other, d_row);
    const T one = 1;
    gemm<T>({&one, 1, steps, 0, 0}, {d, steps, Cell::kRows * H, d_row, 1}, sums, d_row);  // a row of ones makes sums of columns
    if (to.b_hh) std::copy_n(sums + Cell::kApart * H, all, to.b_hh);
    input_gates<Cell>([&](Index gate, Index gates, Index row) {
        if (to.b_ih) std::copy_n(sums + row * H, gates * H, to.b_ih + gate * H);
    });
}

// --- the bindings -----------------------------------------------------------------------------------------------------

template <class Cell>
struct Arguments : Arrays<Array> {
    Sizes s;

    Arguments(const char* f, const py::tuple& a) {
        std::size_t i = 0;
        x = dense(f, "x", a[i++]);
        if (x.dims != 3 || x.shape[0] < 1) bad_shape(f, "x", "(T, B, D), T > 0", x);
        h0 = dense(f, "h0", a[i++], x.type, {x.shape[1], -1});
        s = {x.shape[0], x.shape[1], x.shape[2], h0.shape[1]};
        if (Cell::kHasC) c0 = like(f, "c0", a[i++], h0);
        const Index rows = Cell::kGates * s.H;
        w_ih = dense(f, "w_ih", a[i++], x.type, {rows, s.D});
        w_hh = dense(f, "w_hh", a[i++], x.type, {rows, s.H});
        if (i == a.size()) return;
        b_ih = optional(f, "b_ih", a[i++], x.type, {rows});
        b_hh = optional(f, "b_hh", a[i++], x.type, {rows});
    }
    Index work() const { return s.T * s.B * Cell::kGates * s.H * (s.D + s.H); }
};

template <class Cell, class... Text>
py::tuple run(const char* f, const py::tuple& arguments, const Text&... nonlinearity) {
    const Arguments<Cell> a(f, arguments);
    const Array out = empty(a.x.type, {a.s.T + Cell::kHasC, a.s.B, a.s.H});
    const Array kept = empty(a.x.type, {a.s.T, a.s.B, Cell::kKept * a.s.H});
    by_float(f, "x", a.x, [&](auto zero) {
        using T = decltype(zero);
        forward<Cell>(Layer<T>{pointers<T>(a), a.s}, out.at<T>(), kept.at<T>());
    }, a.work());
    return py::make_tuple(out.owner, py::make_tuple(arguments, out.owner, kept.owner, nonlinearity...));
}

template <class Cell>
py::list vjp(const char* f, const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const Arguments<Cell> a(f, saved[0]);
    const Index time = a.s.T, B = a.s.B, H = a.s.H;
    const Array out = dense(f, "out", saved[1], a.x.type, {time + Cell::kHasC, B, H}), g = like(f, "g", cotangent, out);
    const Array kept = dense(f, "kept", saved[2], a.x.type, {time, B, Cell::kKept * H});
    std::size_t i = 0;
    const auto make = [&](const Array& x) { return wanted(needs, i++) && x.owner ? empty_like(x) : Array(); };
    const Arrays<Array> made{make(a.x),    make(a.h0),   Cell::kHasC ? make(a.c0) : Array(), make(a.w_ih),
                             make(a.w_hh), make(a.b_ih), make(a.b_hh)};
    Arrays<Array> to = made;
    if (!to.c0.data) to.c0 = empty_like(a.h0);
    const Index d_row = Cell::kRows * H + kAlignment / item_size(a.x.type);
    const Array d = empty(a.x.type, {time * B, d_row});
    by_float(f, "x", a.x, [&](auto zero) {
        using T = decltype(zero);
        const Layer<T> layer{pointers<T>(a), a.s};
        backward<Cell>(layer, out.at<T>(), kept.at<T>(), g.at<T>(), d.at<T>(), d_row, pointers<T>(to));
    }, a.work());
    const auto& [x, h0, c0, w_ih, w_hh, b_ih, b_hh] = made;
    if (Cell::kHasC) return gradients(needs, {x, h0, c0, w_ih, w_hh, b_ih, b_hh});
    return gradients(needs, {x, h0, w_ih, w_hh, b_ih, b_hh});
}

bool is_relu(const std::string& nonlinearity) {
    if (nonlinearity != "tanh" && nonlinearity != "relu")
        throw py::value_error("rnn: expected nonlinearity 'tanh' or 'relu', got '" + nonlinearity + "'");
    return nonlinearity == "relu";
}

// NAME(x, h0, w_ih, w_hh, b_ih, b_hh), with c0 after h0 where there is one, and NAME_vjp(saved, g, needs). A layer that
// has a choice of nonlinearity, an argument of that name, has the cell `Relu` for one of them.
template <class Cell, class Relu = Cell, class... Name>
void bind_layer(py::module_& module, const char* function, Name... name) {
    module.def(function, [function](const py::args& a, const As<Name, std::string>&... nonlinearity) {
        if ((is_relu(nonlinearity) || ...)) return run<Relu>(function, a, nonlinearity...);
        return run<Cell>(function, a, nonlinearity...);
    }, name..., "A layer over a whole sequence: see tinygrad_edu.nn.recurrent.");
    module.def((std::string(function) + "_vjp").c_str(), [=](const py::tuple& saved, py::handle g, const py::tuple& needs) {
        const bool relu = saved.size() > 3 && is_relu(saved[3].cast<std::string>());
        return (relu ? vjp<Relu> : vjp<Cell>)(function, saved, g, needs);
    }, py::arg("saved"), py::arg("g"), py::arg("needs"), "The gradients of the layer.");
}

}  // namespace

void bind_recurrent(py::module_& module) {
    bind_layer<LstmCell>(module, "lstm");
    bind_layer<GruCell>(module, "gru");
    bind_layer<RnnCell<false>, RnnCell<true>>(module, "rnn", py::arg("nonlinearity") = "tanh");
}

}  // namespace tg
