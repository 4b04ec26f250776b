// RNN, LSTM and GRU over a whole sequence, and back through time.
//
// One step is two small matrix products, W_ih x and W_hh h, and some activations. Called one by one from Python, a
// sequence of 64 steps takes a thousand calls; here it is one. What is fast about it:
//
//   * A block of samples (as many as fill a cache line, 16 floats) goes through the whole sequence on one thread. Its
//     state and gates lie transposed, (features, samples), so that the products need no packing (tile.hpp): each weight
//     is read once, straight from W, and multiplied with the vector of all samples. Blocks do not wait for each other.
//   * Activations are done right where the products have left the gates, which are then kept for the backward pass.
//   * Backward, each step makes d, the cotangents of its pre-activations, and from them what goes to the step before,
//     W_hh^T d, and to the input, W_ih^T d. The weights' gradients are sums over all steps and samples, so they can
//     wait: eight steps' d are collected, and multiplied at once with the states and inputs that they came from,
//
//         gW_ih += d x^T        gW_hh += d (h before)^T        gb += sum of d
//
// A few blocks of samples share one sum, and these are added up in order in the end. Which blocks depends on the shape
// alone, so any number of threads gives the same bits. Where all samples are one block, threads share the weights' rows.
//
// Source: P. Werbos, "Backpropagation through time: what it does and how to do it", 1990.

#include <cstring>

#include "cells.hpp"
#include "memory.hpp"
#include "subjects.hpp"
#include "tile.hpp"

namespace tg {
namespace {

template <class T>
constexpr Index kSamples = 64 / static_cast<Index>(sizeof(T));  // in a block
constexpr Index kSteps = 8;       // of which the weights' gradients are made at once
constexpr Index kMostSums = 8;    // of the weights' gradients, each by the blocks of one task
constexpr Index kSmall = 1 << 17;  // multiplications below which nobody is woken

struct Sizes {
    Index T, B, D, H;  // time, batch, features, hidden
    template <class F>
    Index blocks() const { return (B + kSamples<F> - 1) / kSamples<F>; }
};

// The arrays of a layer; nullptr where there is none.
template <class T>
struct Layer {
    Sizes s;
    const T *x, *h0, *c0, *w_ih, *w_hh, *b_ih, *b_hh;
};

// Rows of a row-major array to lanes, (n, columns) -> (columns, kSamples), and back; lanes without a sample are 0.
template <class T>
void to_lanes(const T* rows, Index n, Index columns, T* lanes) {
    if (n < kSamples<T>) std::memset(lanes, 0, static_cast<std::size_t>(columns * kSamples<T>) * sizeof(T));
    transpose(rows, columns, 1, n, columns, lanes, kSamples<T>);
}
template <class T>
void from_lanes(const T* lanes, Index n, Index columns, T* rows, Index row) {
    transpose(lanes, kSamples<T>, 1, columns, n, rows, row);
}

// out (rows, kSamples) (+)= w (rows, depth) @ lanes (depth, kSamples), where w's rows lie w_row apart. A single block has
// all threads to itself.
template <class T>
void product(const Sizes& s, const T* w, Index w_row, Index rows, Index depth, const T* lanes, T* out, bool add = true) {
    const auto some_rows = [&](Index i, Index end) {
        multiply(Product<T>{end - i, kSamples<T>, depth, w + i * w_row, w_row, 1, lanes, kSamples<T>,
                            out + i * kSamples<T>, kSamples<T>, add});
    };
    if (s.blocks<T>() > 1 || rows * depth < kSmall) return some_rows(0, rows);
    parallel_ranges(rows, 64, some_rows);
}

// The biases as the cell's rows want them: added up, but for the GRU's last gate, whose two stand apart.
template <class Cell, class T>
void join_biases(const Layer<T>& l, T* out) {
    const Index joined = (Cell::kGates - Cell::kApart) * l.s.H, all = Cell::kGates * l.s.H;
    for (Index j = 0; j < Cell::kRows * l.s.H; ++j) out[j] = 0;
    for (Index j = 0; l.b_ih && j < all; ++j) out[j] = l.b_ih[j];
    for (Index j = 0; l.b_hh && j < all; ++j) out[j < joined ? j : j + l.s.H] += l.b_hh[j];
}

// One block of samples through the whole sequence. `kept` (T, blocks, kKept H, kSamples) is filled for the backward pass.
template <class Cell, class T>
void forward_block(const Cell& cell, const Layer<T>& l, const T* biases, Index block, T* out, T* kept) {
    const auto [time, B, D, H] = l.s;
    constexpr Index lanes = kSamples<T>;
    const Index n = H * lanes, b0 = block * lanes, w = B - b0 < lanes ? B - b0 : lanes;
    const Index apart = Cell::kApart * H, together = Cell::kGates * H - apart;
    T* const x = scratch<T>(Slot::recurrent, (D + 3 * H + Cell::kRows * H) * lanes);
    T *h = x + D * lanes, *h_next = h + n, *const c0 = h_next + n, *const spare = c0 + n;
    to_lanes(l.h0 + b0 * H, w, H, h);
    if (Cell::kHasC) to_lanes(l.c0 + b0 * H, w, H, c0);
    const T* c = c0;
    for (Index t = 0; t < time; ++t) {
        T* const rows = Cell::kKept ? kept + (t * l.s.template blocks<T>() + block) * Cell::kKept * n : spare;
        for (Index j = 0; j < Cell::kRows * H; ++j)
            for (Index i = 0; i < lanes; ++i) rows[j * lanes + i] = biases[j];
        to_lanes(l.x + (t * B + b0) * D, w, D, x);
        product(l.s, l.w_ih, D, Cell::kGates * H, D, x, rows);
        product(l.s, l.w_hh, H, together, H, h, rows);
        if (apart) product(l.s, l.w_hh + together * H, H, apart, H, h, rows + (together + apart) * lanes);
        cell.forward(Step<T>{n, rows, h, c, h_next});
        std::swap(h, h_next);
        if (Cell::kHasC) c = rows + 4 * n;
        from_lanes(h, w, H, out + (t * B + b0) * H, H);
    }
    if (Cell::kHasC) from_lanes(c, w, H, out + (time * B + b0) * H, H);
}

// The sums of a task: of the weights' gradients, state and input side by side, and of d. See `add_to_weights`.
template <class Cell, class T>
struct Sums {
    Index H, D, hidden = padded<T>(H), width = hidden + padded<T>(D), gates = Cell::kGates * H, rows = Cell::kRows * H;
    T* weights = nullptr;     // (gates, width)
    T* biases = nullptr;      // (rows,)
    bool started = false;
    Index size() const { return gates * width + rows; }
    void use(T* memory) { weights = memory, biases = memory + gates * width; }
};

// What has been collected of `count` steps: d (rows, kSteps kSamples), and what it is multiplied with, the states before
// and the inputs side by side, (kSteps kSamples, width).
template <class Cell, class T>
void add_to_weights(Sums<Cell, T>& to, const T* d, const T* before, Index count) {
    const Index depth = count * kSamples<T>, d_row = kSteps * kSamples<T>, apart = Cell::kApart * to.H;
    const Index together = to.gates - apart, inputs = to.width - to.hidden;
    const auto add = [&](Index d_from, Index rows, Index row, Index column, Index columns) {
        multiply(Product<T>{rows, columns, depth, d + d_from * d_row, d_row, 1, before + column, to.width,
                            to.weights + row * to.width + column, to.width, to.started});
    };
    add(0, together, 0, 0, to.hidden);
    if (apart) add(together + apart, apart, together, 0, to.hidden);
    add(0, to.gates, 0, to.hidden, inputs);
    for (Index j = 0; j < to.rows; ++j) {
        T sum = to.started ? to.biases[j] : T(0);
#pragma omp simd reduction(+ : sum)
        for (Index i = 0; i < depth; ++i) sum += d[j * d_row + i];
        to.biases[j] = sum;
    }
    to.started = true;
}

// n rows copied into a wider array's, with zeros up to `width` and below up to kSamples.
template <class T>
void copy_rows(const T* from, Index n, Index columns, Index width, T* to, Index to_row) {
    for (Index i = 0; i < kSamples<T>; ++i)
        for (Index j = 0; j < width; ++j) to[i * to_row + j] = i < n && j < columns ? from[i * columns + j] : T(0);
}

// What the backward pass makes; nullptr where nothing is wanted.
template <class T>
struct Gradients {
    T *x, *h0, *c0, *w_ih, *w_hh, *b_ih, *b_hh;
    bool weights() const { return w_ih || w_hh || b_ih || b_hh; }
};

// One block of samples back through time. `w_t`: W_hh and W_ih transposed, (H + D, gates H).
template <class Cell, class T>
void backward_block(const Cell& cell, const Layer<T>& l, const T* w_t, Index block, const T* out, T* kept, const T* g,
                    const Gradients<T>& to, Sums<Cell, T>& sums) {
    const auto [time, B, D, H] = l.s;
    constexpr Index lanes = kSamples<T>, d_row = kSteps * lanes;
    const Index n = H * lanes, b0 = block * lanes, w = B - b0 < lanes ? B - b0 : lanes, blocks = l.s.template blocks<T>();
    const Index apart = Cell::kApart * H, all = Cell::kGates * H, together = all - apart;
    T* const dh = scratch<T>(Slot::recurrent, 6 * n + D * lanes + Cell::kRows * n * (1 + kSteps) + d_row * sums.width);
    T *const dc = dh + n, *h = dc + n, *h_before = h + n, *const c0 = h_before + n, *const g_lanes = c0 + n;
    T *const dx = g_lanes + n, *const ds = dx + D * lanes, *const d = ds + Cell::kRows * n;
    T* const before = d + Cell::kRows * n * kSteps;
    std::memset(dh, 0, static_cast<std::size_t>(n) * sizeof(T));
    if (Cell::kHasC) to_lanes(g + (time * B + b0) * H, w, H, dc), to_lanes(l.c0 + b0 * H, w, H, c0);
    to_lanes(out + ((time - 1) * B + b0) * H, w, H, h);
    for (Index t = time - 1; t >= 0; --t) {
        T* const rows = kept + (t * blocks + block) * Cell::kKept * n;
        const T* const c_before = t ? rows - blocks * Cell::kKept * n + 4 * n : c0;
        const T* const rows_before = t ? out + ((t - 1) * B + b0) * H : l.h0 + b0 * H;
        const T* const x = l.x + (t * B + b0) * D;
        to_lanes(rows_before, w, H, h_before);
        to_lanes(g + (t * B + b0) * H, w, H, g_lanes);
        for (Index i = 0; i < n; ++i) dh[i] += g_lanes[i];
        cell.backward(Step<T>{n, rows, h_before, c_before, h, ds, dh, dc});
        if (t || to.h0) {
            product(l.s, w_t, all, H, together, ds, dh);
            if (apart) product(l.s, w_t + together, all, H, apart, ds + (together + apart) * lanes, dh);
        }
        if (to.x) {
            product(l.s, w_t + H * all, all, D, all, ds, dx, false);
            from_lanes(dx, w, D, to.x + (t * B + b0) * D, D);
        }
        std::swap(h, h_before);
        if (!to.weights()) continue;
        const Index k = t % kSteps;
        for (Index j = 0; j < sums.rows; ++j)
            for (Index i = 0; i < lanes; ++i) d[j * d_row + k * lanes + i] = i < w ? ds[j * lanes + i] : T(0);
        copy_rows(rows_before, w, H, sums.hidden, before + k * lanes * sums.width, sums.width);
        copy_rows(x, w, D, sums.width - sums.hidden, before + k * lanes * sums.width + sums.hidden, sums.width);
        if (k == 0) add_to_weights(sums, d, before, time - t < kSteps ? time - t : kSteps);
    }
    if (to.h0) from_lanes(dh, w, H, to.h0 + b0 * H, H);
    if (to.c0) from_lanes(dc, w, H, to.c0 + b0 * H, H);
}

// Calls body(i) for all i, on this thread alone if there is little to do.
template <class Body>
void each(Index count, Index work, Body&& body) {
    if (work >= kSmall) return parallel(count, body);
    for (Index i = 0; i < count; ++i) body(i);
}

// The tasks' sums, `parts` of them, added up into the gradients of weights and biases.
template <class Cell, class T>
void add_up(const Sums<Cell, T>& shape, const T* sums, Index parts, const Gradients<T>& to) {
    const Index H = shape.H, D = shape.D, apart = Cell::kApart * H, together = shape.gates - apart;
    each(shape.gates, parts * shape.size(), [&](Index j) {
        const auto total = [&](Index at) {
            T sum = sums[at];
            for (Index k = 1; k < parts; ++k) sum += sums[k * shape.size() + at];
            return sum;
        };
        const Index row = j * shape.width, biases = shape.gates * shape.width;
        for (Index i = 0; to.w_hh && i < H; ++i) to.w_hh[j * H + i] = total(row + i);
        for (Index i = 0; to.w_ih && i < D; ++i) to.w_ih[j * D + i] = total(row + shape.hidden + i);
        if (to.b_ih) to.b_ih[j] = total(biases + j);
        if (to.b_hh) to.b_hh[j] = total(biases + (j < together ? j : j + apart));
    });
}

// --- the bindings -----------------------------------------------------------------------------------------------------

// The arguments as arrays, in order: x, h0, c0 (the LSTM's alone), w_ih, w_hh, b_ih, b_hh.
struct Arguments {
    Array x, h0, c0, w_ih, w_hh, b_ih, b_hh;
    Sizes s;

    template <class Cell>
    Arguments(const char* f, const Cell&, const py::tuple& a) {
        std::size_t i = 0;
        x = dense(f, "x", a[i++]);
        if (x.dims != 3 || x.shape[0] < 1) bad_shape(f, "x", "(T, B, D), T > 0", x);
        s = {x.shape[0], x.shape[1], x.shape[2], 0};
        h0 = dense(f, "h0", a[i++], x.type, {s.B, -1});
        s.H = h0.shape[1];
        if (Cell::kHasC) c0 = dense(f, "c0", a[i++], x.type, {s.B, s.H});
        const Index rows = Cell::kGates * s.H;
        w_ih = dense(f, "w_ih", a[i++], x.type, {rows, s.D});
        w_hh = dense(f, "w_hh", a[i++], x.type, {rows, s.H});
        if (i == a.size() || a[i].is_none()) return;
        b_ih = dense(f, "b_ih", a[i++], x.type, {rows});
        b_hh = dense(f, "b_hh", a[i++], x.type, {rows});
    }
    template <class T>
    Layer<T> layer() const {
        return {s,           x.at<T>(),    h0.at<T>(),   c0.at<T>(), w_ih.at<T>(), w_hh.at<T>(),
                b_ih.at<T>(), b_hh.at<T>()};
    }
    Index work(Index gates) const { return s.T * s.B * gates * s.H * (s.D + s.H); }
};

template <class Cell>
py::tuple forward(const char* f, const Cell& cell, const py::tuple& arguments) {
    const Arguments a(f, cell, arguments);
    const Sizes& s = a.s;
    const Array out = empty(a.x.type, {s.T + Cell::kHasC, s.B, s.H});
    Array kept;
    by_float(f, "x", a.x, [&](auto zero) {
        using T = decltype(zero);
        kept = empty(a.x.type, {s.T, s.blocks<T>(), Cell::kKept * s.H, kSamples<T>});
        const Unlocked unlocked(a.work(Cell::kGates));
        T* const biases = scratch<T>(Slot::other, Cell::kRows * s.H);
        const Layer<T> layer = a.layer<T>();
        join_biases<Cell>(layer, biases);
        each(s.blocks<T>(), a.work(Cell::kGates), [&](Index block) {
            forward_block(cell, layer, biases, block, out.at<T>(), kept.at<T>());
        });
    });
    return py::make_tuple(out.owner, py::make_tuple(arguments, out.owner, kept.owner));
}

template <class T, class Cell>
void backward(const Cell& cell, const Arguments& a, const Array& out, const Array& kept, const Array& g,
              const Gradients<T>& to) {
    const Layer<T> l = a.layer<T>();
    const Sizes& s = a.s;
    const Index all = Cell::kGates * s.H, blocks = s.blocks<T>(), parts = blocks < kMostSums ? blocks : kMostSums;
    Sums<Cell, T> shape{s.H, s.D};
    T* const w_t = scratch<T>(Slot::other, (s.H + s.D) * all + (parts ? parts : 1) * shape.size());
    T* const sums = w_t + (s.H + s.D) * all;
    transpose(l.w_hh, s.H, 1, all, s.H, w_t, all);
    transpose(l.w_ih, s.D, 1, all, s.D, w_t + s.H * all, all);
    each(parts, 3 * a.work(Cell::kGates), [&](Index part) {
        Sums<Cell, T> mine = shape;
        mine.use(sums + part * shape.size());
        for (Index block = part; block < blocks; block += parts)
            backward_block(cell, l, w_t, block, out.at<T>(), kept.at<T>(), g.at<T>(), to, mine);
    });
    if (!parts) std::memset(sums, 0, static_cast<std::size_t>(shape.size()) * sizeof(T));  // no sample at all
    if (to.weights()) add_up(shape, sums, parts, to);
}

template <class Cell>
py::list vjp(const char* f, const Cell& cell, const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const Arguments a(f, cell, saved[0]);
    const Sizes& s = a.s;
    const Array out = dense(f, "out", saved[1], a.x.type, {s.T + Cell::kHasC, s.B, s.H});
    const Array g = dense(f, "g", cotangent, a.x.type, {s.T + Cell::kHasC, s.B, s.H});
    const Array kept = dense(f, "kept", saved[2]);
    const Array* const order[7] = {&a.x, &a.h0, &a.c0, &a.w_ih, &a.w_hh, &a.b_ih, &a.b_hh};
    Array made[7];
    py::list gradients;
    for (std::size_t i = 0, k = 0; i < needs.size(); ++i, ++k) {
        if (k == 2 && !Cell::kHasC) ++k;
        const bool wanted = needs[i].template cast<bool>() && order[k]->data;
        if (wanted) made[k] = empty_like(*order[k]);
        gradients.append(wanted ? made[k].owner : py::none());
    }
    by_float(f, "x", a.x, [&](auto zero) {
        using T = decltype(zero);
        const Gradients<T> to{made[0].at<T>(), made[1].at<T>(), made[2].at<T>(), made[3].at<T>(),
                              made[4].at<T>(), made[5].at<T>(), made[6].at<T>()};
        const Unlocked unlocked(a.work(Cell::kGates));
        backward<T>(cell, a, out, kept, g, to);
    });
    return gradients;
}

// NAME(x, h0, w_ih, w_hh, b_ih, b_hh), with c0 after h0 where there is one, and NAME_vjp(saved, g, needs).
template <class Cell>
void bind_layer(py::module_& module, const char* function) {
    module.def(function, [function](const py::args& a) { return forward(function, Cell{}, a); },
               "A layer over a whole sequence: see tinygrad_edu.nn.recurrent.");
    module.def((std::string(function) + "_vjp").c_str(),
               [function](const py::tuple& saved, py::handle g, const py::tuple& needs) {
                   return vjp(function, Cell{}, saved, g, needs);
               },
               py::arg("saved"), py::arg("g"), py::arg("needs"), "The gradients of the layer.");
}

bool is_relu(const std::string& nonlinearity) {
    if (nonlinearity != "tanh" && nonlinearity != "relu")
        throw py::value_error("rnn: expected nonlinearity 'tanh' or 'relu', got '" + nonlinearity + "'");
    return nonlinearity == "relu";
}

}  // namespace

void bind_recurrent(py::module_& module) {
    bind_layer<LstmCell>(module, "lstm");
    bind_layer<GruCell>(module, "gru");
    module.def("rnn",
               [](const py::args& a, const std::string& nonlinearity) {
                   const py::tuple found = forward("rnn", RnnCell{is_relu(nonlinearity)}, a);
                   return py::make_tuple(found[0], py::make_tuple(nonlinearity, found[1]));
               },
               py::kw_only(), py::arg("nonlinearity") = "tanh", "A layer over a whole sequence: see tinygrad_edu.nn.recurrent.");
    module.def("rnn_vjp",
               [](const py::tuple& saved, py::handle g, const py::tuple& needs) {
                   return vjp("rnn", RnnCell{is_relu(saved[0].cast<std::string>())}, saved[1], g, needs);
               },
               py::arg("saved"), py::arg("g"), py::arg("needs"), "The gradients of the layer.");
}

}  // namespace tg
