// RNN, LSTM and GRU over a whole sequence, and back through time.
//
// One step is two small matrix products, W_ih x and W_hh h, and some activations. Called one by one from Python, a
// sequence of 64 steps takes a thousand calls; here it is one. What is fast about it:
//
//   * A block of samples (as many as fill a cache line, 16 floats) goes through the whole sequence on one thread. Its
//     state and gates lie transposed, (features, samples), so that the products need no packing (tile.hpp): each weight
//     is read once, straight from W, and multiplied with the vector of all samples. Blocks do not wait for each other.
//     A batch that leaves most of a block empty gets blocks of 4 samples or 1, whose vectors run along W's rows instead.
//   * Activations are done right where the products have left the gates, which are then kept for the backward pass.
//   * Backward, each step makes d, the cotangents of its pre-activations, and from them what goes to the step before,
//     W_hh^T d, and to the input, W_ih^T d. The weights' gradients are sums over all steps and samples, so they can
//     wait: some steps' d are collected, and multiplied at once with the states and inputs that they came from,
//
//         gW_ih += d x^T        gW_hh += d (h before)^T        gb += sum of d
//
// A few blocks of samples share one sum, and these are added up in order in the end. Which blocks depends on the shape
// alone, so any number of threads gives the same bits. Where all samples are one block, threads share the weights' rows.
//
// Source: P. Werbos, "Backpropagation through time: what it does and how to do it", 1990.

#include <cstring>
#include <type_traits>
#include <vector>

#include "cells.hpp"
#include "memory.hpp"
#include "subjects.hpp"
#include "tile.hpp"

namespace tg {
namespace {

template <class T>
constexpr int kFull = 64 / static_cast<int>(sizeof(T));  // samples in a full block
constexpr Index kFeatures = 16;    // of a step that are in hand
constexpr Index kDepth = 128;      // steps times samples of which the weights' gradients are made at once
constexpr Index kMostSums = 8;     // of the weights' gradients, each by the blocks of one task
constexpr Index kSmall = 1 << 17;  // multiplications below which nobody is woken

// `n` samples from `first` on, in as many lanes or more; `before` counts the lanes of the blocks before.
struct Block {
    Index first, n, before;
    int lanes;
};

struct Sizes {
    Index T, B, D, H;  // time, batch, features, hidden
    std::vector<Block> blocks;
    Index lanes = 0;  // of all blocks

    void make_blocks(int full) {
        for (Index b = 0; b < B; b += blocks.back().n) {
            const Index left = B - b;
            const int width = left > full / 2 ? full : left > 1 ? 4 : 1;
            blocks.push_back({b, left < width ? left : width, lanes, width});
            lanes += width;
        }
    }
};

// The arrays of a layer; nullptr where there is none.
template <class T>
struct Layer {
    const Sizes& s;
    const T *x, *h0, *c0, *w_ih, *w_hh, *b_ih, *b_hh;
};

// Rows of a row-major array to lanes, (n, columns) -> (columns, L), and back; lanes without a sample are 0.
template <int L, class T>
void to_lanes(const T* rows, Index n, Index columns, T* lanes) {
    if (n < L) std::memset(lanes, 0, static_cast<std::size_t>(columns * L) * sizeof(T));
    transpose(rows, columns, 1, n, columns, lanes, L);
}
template <int L, class T>
void from_lanes(const T* lanes, Index n, Index columns, T* rows, Index row) {
    transpose(lanes, L, 1, columns, n, rows, row);
}

// The right side of a product: v (depth, L) as it is, if the lanes fill vectors, else its rows, (L, depth), in `spare`.
template <int L, class T>
struct Operand {
    static constexpr bool kWhole = L % kLanes<T> == 0;
    const T* v;
    Index row;
    Operand(const T* lanes, Index depth, T* spare) : v(lanes), row(kWhole ? L : depth) {
        if (!kWhole && L > 1) from_lanes<L>(lanes, L, depth, spare, depth), v = spare;
    }
    // out (rows, L) (+)= w (rows, depth) @ v from its row `first` on, where w's rows lie w_row apart.
    void times(const T* w, Index w_row, Index rows, Index depth, T* out, bool add, Index first = 0) const {
        if constexpr (kWhole)
            multiply(Product<T>{rows, L, depth, w, w_row, 1, v + first * L, L, out, L, add});
        else
            multiply_dots<L>(rows, depth, w, w_row, v + first, row, out, add);
    }
};

// Calls body(begin, end) for parts of [0, size). A block that is alone lets all threads share them, if they are work.
template <class Body>
void shared_out(const Sizes& s, Index size, Index part, Index work, const Body& body) {
    if (s.blocks.size() == 1 && work >= kSmall) return parallel_ranges(size, kFeatures, body);
    for (Index i = 0; i < size; i += part) body(i, i + part < size ? i + part : size);
}

// The biases as the cell's rows want them: added up, but for the GRU's last gate, whose two stand apart.
template <class Cell, class T>
void join_biases(const Layer<T>& l, T* out) {
    const Index joined = (Cell::kGates - Cell::kApart) * l.s.H, all = Cell::kGates * l.s.H;
    for (Index j = 0; j < Cell::kRows * l.s.H; ++j) out[j] = 0;
    for (Index j = 0; l.b_ih && j < all; ++j) out[j] = l.b_ih[j];
    for (Index j = 0; l.b_hh && j < all; ++j) out[j < joined ? j : j + l.s.H] += l.b_hh[j];
}

// One block of samples through the whole sequence. `kept` (T, lanes of all blocks, kKept H) is for the backward pass.
//
// A step goes through the features some at a time, all gates of them: from the biases through both products to the new
// state they stay in the first-level cache.
template <int L, class Cell, class T>
void forward_block(const Cell& cell, const Layer<T>& l, const T* biases, const Block& block, T* out, T* kept) {
    const Index time = l.s.T, B = l.s.B, D = l.s.D, H = l.s.H, n = H * L, b0 = block.first, w = block.n;
    T* const x = scratch<T>(Slot::recurrent, (2 * D + 4 * H + Cell::kRows * H) * L);
    T *h = x + D * L, *h_next = h + n, *const c0 = h_next + n, *const x_spare = c0 + n, *const h_spare = x_spare + D * L;
    to_lanes<L>(l.h0 + b0 * H, w, H, h);
    if (Cell::kHasC) to_lanes<L>(l.c0 + b0 * H, w, H, c0);
    const T* c = c0;
    for (Index t = 0; t < time; ++t) {
        T* const rows = Cell::kKept ? kept + (t * l.s.lanes + block.before) * Cell::kKept * H : h_spare + n;
        to_lanes<L>(l.x + (t * B + b0) * D, w, D, x);
        const Operand<L, T> from_x(x, D, x_spare), from_h(h, H, h_spare);
        shared_out(l.s, H, kFeatures, Cell::kGates * H * (D + H), [&](Index begin, Index end) {
            for (Index row = 0; row < Cell::kRows; ++row)
                for (Index j = row * H + begin; j < row * H + end; ++j)
                    for (Index i = 0; i < L; ++i) rows[j * L + i] = biases[j];
            for (Index gate = 0; gate < Cell::kGates; ++gate) {
                const Index j = gate * H + begin, apart = Cell::kApart && gate + 1 == Cell::kGates ? H : 0;
                from_x.times(l.w_ih + j * D, D, end - begin, D, rows + j * L, true);
                from_h.times(l.w_hh + j * H, H, end - begin, H, rows + (j + apart) * L, true);
            }
            cell.forward(Step<T>{n, begin * L, end * L, rows, h, c, h_next});
        });
        std::swap(h, h_next);
        if (Cell::kHasC) c = rows + 4 * n;
        from_lanes<L>(h, w, H, out + (t * B + b0) * H, H);
    }
    if (Cell::kHasC) from_lanes<L>(c, w, H, out + (time * B + b0) * H, H);
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

// What has been collected: d (rows, kDepth), the first `depth` of each, and what it is multiplied with, the states before
// and the inputs side by side, (depth, width).
template <class Cell, class T>
void add_to_weights(Sums<Cell, T>& to, const T* d, const T* before, Index depth) {
    const Index apart = Cell::kApart * to.H, together = to.gates - apart, inputs = to.width - to.hidden;
    const auto add = [&](Index d_from, Index rows, Index row, Index column, Index columns) {
        multiply(Product<T>{rows, columns, depth, d + d_from * kDepth, kDepth, 1, before + column, to.width,
                            to.weights + row * to.width + column, to.width, to.started});
    };
    add(0, together, 0, 0, to.hidden);
    if (apart) add(together + apart, apart, together, 0, to.hidden);
    add(0, to.gates, 0, to.hidden, inputs);
    for (Index j = 0; j < to.rows; ++j) {
        T sum = to.started ? to.biases[j] : T(0);
#pragma omp simd reduction(+ : sum)
        for (Index i = 0; i < depth; ++i) sum += d[j * kDepth + i];
        to.biases[j] = sum;
    }
    to.started = true;
}

// n rows copied into a wider array's, with zeros up to `width` and below up to `rows`.
template <class T>
void copy_rows(const T* from, Index n, Index columns, Index rows, Index width, T* to, Index to_row) {
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < width; ++j) to[i * to_row + j] = i < n && j < columns ? from[i * columns + j] : T(0);
}

// What the backward pass makes; nullptr where nothing is wanted.
template <class T>
struct Gradients {
    T *x, *h0, *c0, *w_ih, *w_hh, *b_ih, *b_hh;
    bool weights() const { return w_ih || w_hh || b_ih || b_hh; }
};

// One block of samples back through time. `w_t`: W_hh and W_ih transposed, (H + D, gates H).
template <int L, class Cell, class T>
void backward_block(const Cell& cell, const Layer<T>& l, const T* w_t, const Block& block, const T* out, T* kept,
                    const T* g, const Gradients<T>& to, Sums<Cell, T>& sums) {
    const Index time = l.s.T, B = l.s.B, D = l.s.D, H = l.s.H, n = H * L, b0 = block.first, w = block.n;
    const Index apart = Cell::kApart * H, all = Cell::kGates * H, together = all - apart, steps = kDepth / L;
    T* const dh = scratch<T>(Slot::recurrent, 6 * n + D * L + Cell::kRows * (2 * n + H * kDepth) + kDepth * sums.width);
    T *const dc = dh + n, *h = dc + n, *h_before = h + n, *const c0 = h_before + n, *const g_lanes = c0 + n;
    T *const dx = g_lanes + n, *const ds = dx + D * L, *const spare = ds + Cell::kRows * n;
    T *const d = spare + Cell::kRows * n, *const before = d + sums.rows * kDepth;
    std::memset(dh, 0, static_cast<std::size_t>(n) * sizeof(T));
    if (Cell::kHasC) to_lanes<L>(g + (time * B + b0) * H, w, H, dc), to_lanes<L>(l.c0 + b0 * H, w, H, c0);
    to_lanes<L>(out + ((time - 1) * B + b0) * H, w, H, h);
    for (Index t = time - 1; t >= 0; --t) {
        T* const rows = kept + (t * l.s.lanes + block.before) * Cell::kKept * H;
        const T* const c_before = Cell::kHasC && t ? rows - l.s.lanes * Cell::kKept * H + 4 * n : c0;
        const T* const rows_before = t ? out + ((t - 1) * B + b0) * H : l.h0 + b0 * H;
        to_lanes<L>(rows_before, w, H, h_before);
        to_lanes<L>(g + (t * B + b0) * H, w, H, g_lanes);
        for (Index i = 0; i < n; ++i) dh[i] += g_lanes[i];
        cell.backward(Step<T>{n, 0, n, rows, h_before, c_before, h, ds, dh, dc});
        const Operand<L, T> from_d(ds, sums.rows, spare);
        if (t || to.h0)
            shared_out(l.s, H, H, all * H, [&](Index begin, Index end) {
                const T* const w_from = w_t + begin * all;
                from_d.times(w_from, all, end - begin, together, dh + begin * L, true);
                if (apart) from_d.times(w_from + together, all, end - begin, apart, dh + begin * L, true, together + apart);
            });
        if (to.x) {
            shared_out(l.s, D, D, all * D, [&](Index begin, Index end) {
                from_d.times(w_t + (H + begin) * all, all, end - begin, all, dx + begin * L, false);
            });
            from_lanes<L>(dx, w, D, to.x + (t * B + b0) * D, D);
        }
        std::swap(h, h_before);
        if (!to.weights()) continue;
        const Index k = t % steps;
        for (Index j = 0; j < sums.rows; ++j)
            for (Index i = 0; i < L; ++i) d[j * kDepth + k * L + i] = i < w ? ds[j * L + i] : T(0);
        copy_rows(rows_before, w, H, L, sums.hidden, before + k * L * sums.width, sums.width);
        copy_rows(l.x + (t * B + b0) * D, w, D, L, sums.width - sums.hidden, before + k * L * sums.width + sums.hidden,
                  sums.width);
        if (k == 0) add_to_weights(sums, d, before, (time - t < steps ? time - t : steps) * L);
    }
    if (to.h0) from_lanes<L>(dh, w, H, to.h0 + b0 * H, H);
    if (to.c0) from_lanes<L>(dc, w, H, to.c0 + b0 * H, H);
}

// f(a constant) with the block's number of lanes as a type: std::integral_constant<int, L>.
template <class T, class F>
void by_lanes(const Block& block, F&& f) {
    if (block.lanes == kFull<T>) return f(std::integral_constant<int, kFull<T>>());
    if (block.lanes == 4) return f(std::integral_constant<int, 4>());
    f(std::integral_constant<int, 1>());
}

// The tasks' sums, `parts` of them, added up into the gradients of weights and biases.
template <class Cell, class T>
void add_up(const Sums<Cell, T>& shape, const T* sums, Index parts, const Gradients<T>& to) {
    const Index H = shape.H, D = shape.D, apart = Cell::kApart * H, together = shape.gates - apart;
    parallel_if(parts * shape.size() >= kSmall, shape.gates, [&](Index j) {
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
        s.T = x.shape[0], s.B = x.shape[1], s.D = x.shape[2];
        s.make_blocks(x.type == Type::f32 ? kFull<float> : kFull<double>);
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
        return {s, x.at<T>(), h0.at<T>(), c0.at<T>(), w_ih.at<T>(), w_hh.at<T>(), b_ih.at<T>(), b_hh.at<T>()};
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
        kept = empty(a.x.type, {s.T, s.lanes, Cell::kKept * s.H});
        const Unlocked unlocked(a.work(Cell::kGates));
        T* const biases = scratch<T>(Slot::other, Cell::kRows * s.H);
        const Layer<T> layer = a.layer<T>();
        join_biases<Cell>(layer, biases);
        parallel_if(a.work(Cell::kGates) >= kSmall, static_cast<Index>(s.blocks.size()), [&](Index i) {
            by_lanes<T>(s.blocks[i], [&](auto lanes) {
                forward_block<lanes()>(cell, layer, biases, s.blocks[i], out.at<T>(), kept.at<T>());
            });
        });
    });
    return py::make_tuple(out.owner, py::make_tuple(arguments, out.owner, kept.owner));
}

template <class T, class Cell>
void backward(const Cell& cell, const Arguments& a, const Array& out, const Array& kept, const Array& g,
              const Gradients<T>& to) {
    const Layer<T> l = a.layer<T>();
    const Sizes& s = a.s;
    const Index all = Cell::kGates * s.H, blocks = static_cast<Index>(s.blocks.size()), parts = blocks < kMostSums ? blocks : kMostSums;
    Sums<Cell, T> shape{s.H, s.D};
    T* const w_t = scratch<T>(Slot::other, (s.H + s.D) * all + (parts ? parts : 1) * shape.size());
    T* const sums = w_t + (s.H + s.D) * all;
    transpose(l.w_hh, s.H, 1, all, s.H, w_t, all);
    transpose(l.w_ih, s.D, 1, all, s.D, w_t + s.H * all, all);
    parallel_if(a.work(Cell::kGates) >= kSmall, parts, [&](Index part) {
        Sums<Cell, T> mine = shape;
        mine.use(sums + part * shape.size());
        for (Index i = part; i < blocks; i += parts)
            by_lanes<T>(s.blocks[i], [&](auto lanes) {
                backward_block<lanes()>(cell, l, w_t, s.blocks[i], out.at<T>(), kept.at<T>(), g.at<T>(), to, mine);
            });
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
