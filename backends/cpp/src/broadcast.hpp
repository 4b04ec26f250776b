// Broadcasting without copies: how an elementwise kernel walks through operands of different shapes.
//
// The result is contiguous. A `Grid` has its shape, and for each operand how far that moves along each dimension: not at
// all where it is broadcast, backwards where it is flipped. Dimensions that all operands walk through as if they were one
// are made one, so that most grids have a single dimension.
//
// The result is cut into ranges that threads share, and a range into pieces along which each operand is either a plain
// array or one number, the two forms that vector instructions like. An operand that is neither (transposed, stepped, or
// broadcast along short rows) is first gathered into a block that stays in the nearest cache. A row that is added to
// many short ones repeats itself: there the pieces are whole rows, and the block is gathered once for all of them.
#pragma once

#include "array.hpp"
#include "vec.hpp"

namespace tg {

constexpr int kOperands = 3;                  // at most
constexpr Index kPiece = 1024, kShort = 32;  // elements gathered at a time; in rows that are not worth a piece each

// The shape that operands are broadcast to.
struct Shape {
    int dims = 0;
    Index sizes[kMaxDims];

    Shape() = default;
    explicit Shape(const Array& x) : dims(x.dims) { std::copy(x.shape, x.shape + x.dims, sizes); }

    bool meet(const Array& x) {  // becomes one that x fits as well; false if there is none
        if (x.dims > dims) {
            std::copy_backward(sizes, sizes + dims, sizes + x.dims);
            std::fill(sizes, sizes + x.dims - dims, Index(1));
            dims = x.dims;
        }
        Index* const own = sizes + dims - x.dims;
        for (int d = 0; d < x.dims; ++d) {
            if (own[d] == 1) own[d] = x.shape[d];
            if (x.shape[d] != 1 && x.shape[d] != own[d]) return false;
        }
        return true;
    }
};

// Calls f with an unsigned integer of so many bytes: for what moves elements without looking at them.
template <class F>
void by_size(int bytes, const F& f) {
    if (bytes == 1) f(std::uint8_t());
    if (bytes == 4) f(std::uint32_t());
    if (bytes == 8) f(std::uint64_t());
}

struct Grid {
    struct Way {  // of one operand
        const char* data;
        int item;                // bytes of an element
        bool simple, direct;     // it moves like the result, or never; along a piece it is an array or a number as it lies
        Index period;            // elements of the result after which it is where it was
        Index steps[kMaxDims];  // in bytes
    };
    int dims = 0, count = 0;  // the first dimension is the innermost
    Index size = 1, sizes[kMaxDims];
    Way ways[kOperands];
    bool rows;    // a piece ends where a row ends
    Index piece;  // elements of one, at most

    Grid(const Shape& shape, std::initializer_list<const Array*> operands) {
        for (const Array* x : operands) {
            Way& way = ways[count++];
            way.data = x->data, way.item = item_size(x->type), way.period = 1, way.steps[0] = 0;
        }
        for (int d = shape.dims - 1; d >= 0; --d) {
            const Index n = shape.sizes[d];
            size *= n;
            if (n == 1) continue;
            bool merges = dims > 0;
            for (int k = 0; k < count; ++k) {
                const Array& x = *operands.begin()[k];
                const int own = d - (shape.dims - x.dims);
                const Index step = ways[k].steps[dims] = own < 0 || x.shape[own] == 1 ? 0 : x.strides[own];
                merges = merges && step == ways[k].steps[dims - 1] * sizes[dims - 1];
            }
            if (merges) sizes[dims - 1] *= n;
            else sizes[dims++] = n;
        }
        if (dims == 0) sizes[dims++] = 1;
        bool simple = true, plain = true, direct = true;  // all operands are; as they lie, without repeats; as they lie
        bool column = false;                              // one of them has a number for each row
        Index longest = 1;
        for (Way* way = ways; way != ways + count; ++way) {
            way->simple = true;
            Index before = 1;
            for (int d = 0; d < dims; before *= sizes[d++]) {
                way->simple = way->simple && way->steps[d] == before * way->item;
                if (way->steps[d] != 0) way->period = before * sizes[d];
            }
            way->simple = way->simple || way->period == 1;
            way->direct = way->steps[0] == 0 || way->steps[0] == way->item;
            simple = simple && way->simple;
            plain = plain && (way->simple || (way->steps[0] == way->item && way->period == size));
            direct = direct && way->direct;
            column = column || (way->steps[0] == 0 && !way->simple);
            if (way->period <= kPiece) longest = std::max(longest, way->period);
        }
        rows = !simple && sizes[0] > (plain ? kShort : direct && column ? kPiece / 8 : kPiece);
        for (Way* way = ways; way != ways + count; ++way) way->direct = way->simple || (rows && way->direct);
        piece = simple || (rows && direct) ? size : rows ? kPiece : kPiece - kPiece % longest;
    }
};

// A place on an operand's way, at a number of the result's elements.
struct Place {
    const char* x;
    Index at[kMaxDims];

    Place() = default;
    Place(const Grid& grid, const Grid::Way& way, Index number) : x(way.data) {
        int d = 0;
        for (; d + 1 < grid.dims; number /= grid.sizes[d++]) {
            at[d] = number % grid.sizes[d];
            x += at[d] * way.steps[d];
        }
        at[d] = number, x += number * way.steps[d];
    }

    // n elements on, at most to the end of a row.
    void move(const Grid& grid, const Grid::Way& way, Index n) {
        at[0] += n, x += n * way.steps[0];
        for (int d = 0; at[d] == grid.sizes[d] && d + 1 < grid.dims; ++d) {
            x += way.steps[d + 1] - at[d] * way.steps[d];
            at[d] = 0, ++at[d + 1];
        }
    }
};

// n elements of an operand from a place on, to `out`. Rows are short here: the last vector overlaps the one before it.
template <class U>
void gather(const Grid& grid, const Grid::Way& way, Place& place, Index n, U* out) {
    constexpr Index L = kLanes<U>;
    const Index step = way.steps[0];
    for (Index m; n > 0; n -= m, out += m, place.move(grid, way, m)) {
        m = std::min(n, grid.sizes[0] - place.at[0]);
        const U* const x = reinterpret_cast<const U*>(place.x);
        const auto vectors = [&](auto at) {
            for (Index i = 0; i < m - L; i += L) store<U>(out + i, at(i));
            store<U>(out + m - L, at(m - L));
        };
        if (step == way.item && m >= L) vectors([&](Index i) { return load(x + i); });
        else if (step == 0 && m >= L) vectors([v = broadcast(*x)](Index) { return v; });
        else for (Index i = 0; i < m; ++i) out[i] = *reinterpret_cast<const U*>(place.x + i * step);
    }
}

// What an operand is along a piece: a plain array, or one number.
struct Piece {
    const void* data;
    bool one;
    template <class T>
    const T* at() const {
        return static_cast<const T*>(data);
    }
};

// Calls body(first, n, pieces) on pieces that together cover the elements [begin, end) of the result.
// (Not inlined: one copy of the kernel serves the one thread and the many.)
template <class Body>
[[gnu::noinline]] void each_piece(const Grid& grid, Index begin, Index end, const Body& body) {
    alignas(64) char blocks[kOperands][kPiece * 8];
    Piece pieces[kOperands];
    Place places[kOperands];
    const Index first = begin, row = grid.rows ? grid.sizes[0] : std::max(grid.size, Index(1));
    Index left = row - begin % row;  // in the row
    for (Index n; begin < end; begin += n, left = left == n ? row : left - n) {
        n = std::min({end - begin, grid.piece, left});
        for (int k = 0; k < grid.count; ++k) {
            const Grid::Way& way = grid.ways[k];
            if (!way.direct && begin != first && grid.piece % way.period == 0) continue;  // gathered before
            Place& place = places[k];
            if (begin == first || !grid.rows) place = Place(grid, way, begin);
            pieces[k] = way.direct ? Piece{place.x, way.steps[0] == 0} : Piece{blocks[k], false};
            const auto put = [&](auto u) { gather(grid, way, place, n, reinterpret_cast<decltype(u)*>(blocks[k])); };
            if (!way.direct) by_size(way.item, put);
            else if (grid.rows) place.move(grid, way, n);  // faster than to find the place of every row anew
        }
        body(begin, n, pieces);
    }
}

// All of a grid's pieces, threads taking `grain` elements at a time.
template <class Body>
void walk(const Grid& grid, Index grain, const Body& body) {
    share(grid.size, grain, [&](Index begin, Index end) { each_piece(grid, begin, end, body); });
}

// out[i] = f(x[i], ...) along a piece: a loop for each choice of which operands are single numbers, read once. `flatten`
// has f inlined into every one of them, since a loop that calls what is not inlined is not vectorised.
template <class T>
struct One {
    T x;
    T operator[](Index) const { return x; }
};
template <class... T>
struct Types {};
template <class R, class F, class... X>
[[gnu::flatten]] void loop(Types<>, const Piece*, R* __restrict out, Index n, F f, X... x) {
    for (Index i = 0; i < n; ++i) out[i] = f(x[i]...);
}
template <class T, class... More, class R, class F, class... X>
void loop(Types<T, More...>, const Piece* p, R* out, Index n, F f, X... x) {
    if (p->one) loop(Types<More...>(), p + 1, out, n, f, x..., One<T>{*p->at<T>()});
    else loop(Types<More...>(), p + 1, out, n, f, x..., p->at<T>());
}

// f of all elements of operands whose elements are T: written to `to`, an array of that shape, or to a new one.
template <class T>
struct In {
    const Array& array;
};
template <class R, class F, class... T>
void evaluate(const Shape& shape, R* to, Index grain, F f, In<T>... x) {
    walk(Grid(shape, {&x.array...}), grain,
         [=](Index first, Index n, const Piece* p) { loop(Types<T...>(), p, to + first, n, f); });
}
template <class T>
constexpr Type type_of = std::is_same_v<T, float>    ? Type::f32
                         : std::is_same_v<T, double> ? Type::f64
                         : std::is_same_v<T, bool>   ? Type::boolean
                                                     : Type::i64;
template <class F, class... T>
py::object combine(const Shape& shape, Index grain, F f, In<T>... x) {
    using R = decltype(f(T()...));
    const Array out = empty(type_of<R>, shape.dims, shape.sizes);
    evaluate(shape, out.at<R>(), grain, f, x...);
    return out.owner;
}

}  // namespace tg
