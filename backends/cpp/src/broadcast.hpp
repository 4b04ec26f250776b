// Broadcasting without copies: how an elementwise kernel walks through operands of different shapes.
//
// A `Grid` is the result's shape with, for each operand, how far it moves along each dimension: 0 where it is broadcast,
// negative where it is flipped. Dimensions that all operands walk through as if they were one are made one, so that most
// grids have a single dimension. The result itself is always contiguous, and is cut into ranges that threads share.
//
// A range is handed to the kernel in pieces along which each operand is either a plain array or one number, the two
// forms that vector instructions like. An operand that is neither (transposed, stepped, or broadcast along rows too
// short to be worth a call) is first gathered into a small block that stays in the nearest cache.
#pragma once

#include <algorithm>

#include "array.hpp"

namespace tg {

constexpr Index kPiece = 1024;   // elements gathered at a time
constexpr Index kLongRow = 32;   // rows from which each is a piece of its own, where nothing has to be gathered

// A kernel's operand: an array's memory, or one number that `number` holds.
struct Operand {
    const char* data = nullptr;
    int item = 0;  // bytes of an element
    alignas(8) char number[8];
    int dims = 0;
    const Index *shape = nullptr, *strides = nullptr;

    Operand() = default;
    explicit Operand(const Array& x, int bytes) : data(x.data), item(bytes), dims(x.dims), shape(x.shape), strides(x.strides) {}
};

template <int N>
struct Grid {
    int dims = 0;  // at least 1 once made; the first is the innermost
    Index size = 1;
    Index shape[kMaxDims], steps[N][kMaxDims];  // steps count elements
    bool linear[N], constant[N];                // operand is walked through like the result; never moves

    Grid(int count, const Index* sizes, const Operand* const* operands) {
        for (int d = count - 1; d >= 0; --d) {
            const Index n = sizes[d];
            size *= n;
            if (n == 1) continue;
            Index step[N];
            bool merges = dims > 0;
            for (int k = 0; k < N; ++k) {
                const Operand& x = *operands[k];
                const int own = d - (count - x.dims);
                step[k] = own < 0 || x.shape[own] == 1 ? 0 : x.strides[own] / x.item;
                merges = merges && step[k] == steps[k][dims - 1] * shape[dims - 1];
            }
            if (merges) {
                shape[dims - 1] *= n;
                continue;
            }
            shape[dims] = n;
            for (int k = 0; k < N; ++k) steps[k][dims] = step[k];
            ++dims;
        }
        if (dims == 0) {
            shape[dims] = 1;
            for (int k = 0; k < N; ++k) steps[k][dims] = 0;
            ++dims;
        }
        for (int k = 0; k < N; ++k) {
            linear[k] = constant[k] = true;
            Index expected = 1;
            for (int d = 0; d < dims; ++d) {
                linear[k] = linear[k] && steps[k][d] == expected;
                constant[k] = constant[k] && steps[k][d] == 0;
                expected *= shape[d];
            }
        }
    }
};

// A place in a grid, as coordinates.
template <int N>
struct Place {
    const Grid<N>& grid;
    Index at[kMaxDims];

    Place(const Grid<N>& g, Index number) : grid(g) {
        for (int d = 0; d < g.dims; ++d) {
            const bool last = d + 1 == g.dims;
            at[d] = last ? number : number % g.shape[d];
            if (!last) number /= g.shape[d];
        }
    }
    Index offset(int k) const {
        Index sum = 0;
        for (int d = 0; d < grid.dims; ++d) sum += at[d] * grid.steps[k][d];
        return sum;
    }
    void advance(Index n) {
        at[0] += n;
        for (int d = 0; d + 1 < grid.dims && at[d] >= grid.shape[d]; ++d) {
            at[d + 1] += at[d] / grid.shape[d];
            at[d] %= grid.shape[d];
        }
    }
};

// n elements of operand k from a place on, to `to`.
template <class U, int N>
void gather(Place<N> place, int k, const char* data, Index n, void* to) {
    U* out = static_cast<U*>(to);
    const Index step = place.grid.steps[k][0];
    while (n > 0) {
        const Index m = std::min(n, place.grid.shape[0] - place.at[0]);
        const U* x = reinterpret_cast<const U*>(data) + place.offset(k);
        if (step == 1)
            for (Index i = 0; i < m; ++i) out[i] = x[i];
        else if (step == 0)
            std::fill(out, out + m, *x);
        else
            for (Index i = 0; i < m; ++i) out[i] = x[i * step];
        out += m, n -= m;
        place.advance(m);
    }
}

// Along a piece, an operand is a plain array or one number.
struct Piece {
    const char* data;
    bool one;
    template <class T>
    const T* at() const {
        return reinterpret_cast<const T*>(data);
    }
};

// Calls body(first, n, pieces) on pieces that together cover the elements [begin, end) of the result.
// (Not inlined: one copy of the kernel serves the one thread and the many.)
template <int N, class Body>
[[gnu::noinline]] void each_piece(const Grid<N>& grid, const Operand* const* operands, Index begin, Index end, const Body& body) {
    alignas(64) char blocks[N][kPiece * 8];
    Piece pieces[N];
    bool simple = true, plain_rows = true;  // nothing to gather at all; nothing within a row
    for (int k = 0; k < N; ++k) {
        simple = simple && (grid.linear[k] || grid.constant[k]);
        plain_rows = plain_rows && (grid.steps[k][0] == 1 || grid.steps[k][0] == 0);
    }
    const bool rows = grid.shape[0] >= (plain_rows ? kLongRow : kPiece);
    for (Place<N> place(grid, begin); begin < end;) {
        Index n = end - begin;
        if (!simple && rows) n = std::min(n, grid.shape[0] - place.at[0]);
        if (!simple && !(rows && plain_rows)) n = std::min(n, kPiece);
        for (int k = 0; k < N; ++k) {
            const Operand& x = *operands[k];
            const Index step = grid.steps[k][0];
            if (grid.linear[k] || grid.constant[k] || (rows && (step == 0 || step == 1))) {
                pieces[k] = {x.data + place.offset(k) * x.item, grid.constant[k] || (rows && step == 0)};
                continue;
            }
            pieces[k] = {blocks[k], false};
            if (x.item == 1) gather<std::uint8_t>(place, k, x.data, n, blocks[k]);
            if (x.item == 4) gather<std::uint32_t>(place, k, x.data, n, blocks[k]);
            if (x.item == 8) gather<std::uint64_t>(place, k, x.data, n, blocks[k]);
        }
        body(begin, n, pieces);
        begin += n;
        place.advance(n);
    }
}

// The broadcast shape of operands; false if there is none.
template <int N>
bool broadcast_shape(const Operand* const* operands, int& dims, Index* shape) {
    dims = 0;
    for (int k = 0; k < N; ++k) dims = std::max(dims, operands[k]->dims);
    std::fill(shape, shape + dims, Index(1));
    for (int k = 0; k < N; ++k)
        for (int own = 0; own < operands[k]->dims; ++own) {
            Index& n = shape[dims - operands[k]->dims + own];
            const Index m = operands[k]->shape[own];
            if (m != 1 && n != 1 && m != n) return false;
            if (m != 1) n = m;
        }
    return true;
}

// All of a grid's pieces, shared by threads where there are at least `serial` elements.
template <int N, class Body>
void walk(const Grid<N>& grid, const Operand* const* operands, Index serial, const Body& body) {
    if (grid.size == 0) return;
    if (grid.size < serial) return each_piece(grid, operands, 0, grid.size, body);
    const Unlocked unlocked(grid.size);
    parallel_ranges(grid.size, serial / 4,
                    [&](Index begin, Index end) { each_piece(grid, operands, begin, end, body); });
}

}  // namespace tg
