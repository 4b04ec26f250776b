// Attention without the matrix of weights: softmax(scale Q K^T + mask) V, a block of queries and a block of keys at a time.
//
// For L queries and S keys there are L x S weights, too many to keep for long sequences. But a softmax can be made in
// one pass: with the largest score so far, m, and the sum of exp(score - m) so far, l, a new block of keys that has a
// larger score only asks for what was summed to be multiplied by exp(m - new m). So the forward pass goes through the
// keys in blocks of 64, for 64 queries at a time, with everything in the first-level cache, and keeps of each query no
// more than log(sum of exp(score)), from which the backward pass makes any block of weights again:
//
//     P = exp(S - lse)              gV = P^T G             dP = G V^T
//     dS = P (dP - delta)           gQ = scale dS K        gK = scale dS^T Q         delta = sum over features of G out
//
// All blocks are held transposed, (keys, queries), the queries along the vectors: then maxima and sums over keys are
// operations on whole vectors, and neither K nor V needs packing (see tile.hpp). With a causal mask, blocks of keys that
// come after all queries of a block are left out.
//
// Threads share the batch entries, heads and blocks of queries. Backwards, several blocks of queries add to the gradient
// of the same key: these go to one thread, in order, unless there are few heads; then the blocks of queries are dealt
// out to a fixed number of parts, each with sums of its own, which are added up in the end.
//
// Sources: M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et al.,
// "FlashAttention", NeurIPS 2022, and T. Dao, "FlashAttention-2", 2023, for the order of the loops.

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "math.hpp"
#include "memory.hpp"
#include "subjects.hpp"
#include "tile.hpp"

namespace tg {
namespace {

constexpr Index kQueries = 32, kKeys = 64;  // in a block
constexpr Index kLeastTasks = 8;    // backwards: with fewer heads than these their queries are dealt out
constexpr Index kSmall = 1 << 17;   // multiplications below which nobody is woken

// The matrices of one head; strides in elements.
template <class T>
struct Rows {
    T* at = nullptr;
    Index row = 0, column = 0;
    Rows from(Index i) const { return {at + i * row, row, column}; }
};

// One batch dimension and head of an array (..., rows, columns).
template <class T>
Rows<T> head_of(const Array& x, Index head) {
    char* at = x.data;
    for (int d = x.dims - 3; d >= 0; --d) {
        at += head % x.shape[d] * x.strides[d];
        head /= x.shape[d];
    }
    constexpr Index size = sizeof(T);
    return {reinterpret_cast<T*>(at), x.strides[x.dims - 2] / size, x.strides[x.dims - 1] / size};
}

struct Sizes {
    Index heads, L, S, E, V;
    bool causal;
    double scale;
    Index blocks() const { return (L + kQueries - 1) / kQueries; }
    Index work() const { return heads * L * S * (E + V) / (causal ? 2 : 1); }
    // The keys that any of the queries q0 to q0 + n - 1 sees.
    Index seen(Index q0, Index n) const { return causal && q0 + n < S ? q0 + n : S; }
};

// What is added to the scores, or says which of them count; nothing if `type` is other.
struct Mask {
    Type type = Type::other;
    Rows<char> head;  // strides in bytes
};

// x (n, columns) as (columns, kQueries), times a factor; lanes without a row are 0.
template <class T>
void transposed(Rows<T> x, Index n, Index columns, T factor, T* out) {
    if (n < kQueries) std::memset(out, 0, static_cast<std::size_t>(columns * kQueries) * sizeof(T));
    transpose(x.at, x.row, x.column, n, columns, out, kQueries);
    if (factor != 1)
        for (Index i = 0; i < columns * kQueries; ++i) out[i] *= factor;
}

// The other way: x (columns, kQueries) times one factor for each query, as n rows. (What we make has contiguous rows.)
template <class T>
void put(T* x, const T* factors, Index n, Index columns, Rows<T> out) {
    for (Index d = 0; d < columns; ++d)
        for (Index i = 0; i < kQueries; ++i) x[d * kQueries + i] *= factors[i];
    transpose(x, kQueries, 1, columns, n, out.at, out.row);
}

// The rows of x as they are if they can be read a vector at a time, else copied so; `row` becomes their distance.
template <class T>
const T* readable(Rows<T> x, Index n, Index columns, T* copy, Index* row) {
    if (x.column == 1 && columns % kLanes<T> == 0) {
        *row = x.row;
        return x.at;
    }
    *row = padded<T>(columns);
    for (Index i = 0; i < n; ++i)
        for (Index d = 0; d < *row; ++d) copy[i * *row + d] = d < columns ? x.at[i * x.row + d * x.column] : T(0);
    return copy;
}

// Scores of keys k0 to k0 + nk - 1 and the queries in `qt` (E, kQueries), which are scaled: (nk, kQueries).
template <class T>
void scores(const Sizes& s, Rows<T> k, const Mask& mask, const T* qt, Index q0, Index nq, Index k0, Index nk, T* out) {
    multiply(Product<T>{nk, kQueries, s.E, k.at + k0 * k.row, k.row, k.column, qt, kQueries, out, kQueries, false});
    if (s.causal)
        for (Index j = 0; j < nk; ++j)
            for (Index i = 0; i < k0 + j - q0 && i < kQueries; ++i) out[j * kQueries + i] = -infinity<T>;
    if (mask.type == Type::other) return;
    for (Index j = 0; j < nk; ++j)
        for (Index i = 0; i < nq; ++i) {
            const char* const m = mask.head.at + (q0 + i) * mask.head.row + (k0 + j) * mask.head.column;
            T& score = out[j * kQueries + i];
            if (mask.type != Type::boolean)
                score += *reinterpret_cast<const T*>(m);
            else if (!*m)
                score = -infinity<T>;
        }
}

// Queries q0 to q0 + nq - 1 of one head: the result, and the logarithm of the sum of exp(score).
template <class T>
void forward_block(const Sizes& s, Rows<T> q, Rows<T> k, Rows<T> v, const Mask& mask, Index q0, Index nq, Rows<T> out,
                   T* lse) {
    T* const qt = scratch<T>(Slot::attention, (s.E + s.V + kKeys) * kQueries);
    T *const p = qt + s.E * kQueries, *const ot = p + kKeys * kQueries;
    T top[kQueries], sum[kQueries], shift[kQueries], shrink[kQueries];  // the compiler knows that p is none of these
    transposed(q.from(q0), nq, s.E, T(s.scale), qt);
    std::memset(ot, 0, static_cast<std::size_t>(s.V * kQueries) * sizeof(T));
    for (Index i = 0; i < kQueries; ++i) top[i] = -infinity<T>, sum[i] = 0, shift[i] = 0;
    for (Index k0 = 0, end = s.seen(q0, nq); k0 < end; k0 += kKeys) {
        const Index nk = end - k0 < kKeys ? end - k0 : kKeys;
        scores(s, k, mask, qt, q0, nq, k0, nk, p);
        for (Index i = 0; i < kQueries; ++i) shrink[i] = top[i];
        for (Index j = 0; j < nk; ++j)
            for (Index i = 0; i < kQueries; ++i) top[i] = p[j * kQueries + i] > top[i] ? p[j * kQueries + i] : top[i];
        for (Index i = 0; i < kQueries; ++i) {
            shift[i] = top[i] == -infinity<T> ? T(0) : top[i];  // nothing seen yet: -inf - -inf would be NaN
            shrink[i] = exp_(shrink[i] - shift[i]);
            sum[i] *= shrink[i];
        }
        for (Index j = 0; j < nk; ++j)
            for (Index i = 0; i < kQueries; ++i) {
                const T e = exp_(p[j * kQueries + i] - shift[i]);
                p[j * kQueries + i] = e;
                sum[i] += e;
            }
        if (k0)
            for (Index d = 0; d < s.V; ++d)
                for (Index i = 0; i < kQueries; ++i) ot[d * kQueries + i] *= shrink[i];
        multiply(Product<T>{s.V, kQueries, nk, v.at + k0 * v.row, v.column, v.row, p, kQueries, ot, kQueries, k0 != 0});
    }
    T share[kQueries];
    for (Index i = 0; i < kQueries; ++i) {
        const bool nothing = sum[i] == 0;  // every key is masked: the result is 0, and so are the weights made of lse
        share[i] = nothing ? T(0) : T(1) / sum[i];
        if (i < nq) lse[q0 + i] = nothing ? infinity<T> : shift[i] + std::log(sum[i]);
    }
    put(ot, share, nq, s.V, out.from(q0));
}

// The arrays of one head, in a backward pass.
template <class T>
struct Backward {
    Rows<T> q, k, v, out, g, gq;  // gq.at is nullptr where it is not wanted
    const T* lse;
    Mask mask;
    T *gk, *gv;  // (S, padded E) and (S, padded V), to be added to; nullptr where not wanted
};

// The sum over columns of a b, for each of n rows.
template <class T>
void dots(Rows<T> a, Rows<T> b, Index n, Index columns, T* out) {
    const bool contiguous = a.column == 1 && b.column == 1;
    for (Index i = 0; i < n; ++i) {
        const T *const x = a.at + i * a.row, *const y = b.at + i * b.row;
        T sum = 0;
        if (contiguous)
#pragma omp simd reduction(+ : sum)
            for (Index d = 0; d < columns; ++d) sum += x[d] * y[d];
        else
            for (Index d = 0; d < columns; ++d) sum += x[d * a.column] * y[d * b.column];
        out[i] = sum;
    }
}

template <class T>
void backward_block(const Sizes& s, const Backward<T>& b, Index q0, Index nq) {
    const Index E = padded<T>(s.E), V = padded<T>(s.V);
    T* const qt = scratch<T>(Slot::attention, (3 * E + 2 * V + 2 * kKeys) * kQueries);
    T *const gt = qt + E * kQueries, *const q_copy = gt + V * kQueries, *const g_copy = q_copy + E * kQueries;
    T *const gqt = g_copy + V * kQueries, *const p = gqt + E * kQueries, *const ds = p + kKeys * kQueries;
    T lse[kQueries] = {}, delta[kQueries] = {};
    const Rows<T> q = b.q.from(q0), g = b.g.from(q0);
    Index q_row, g_row;
    transposed(q, nq, s.E, T(s.scale), qt);
    transposed(g, nq, s.V, T(1), gt);
    const T* const q_rows = readable(q, nq, s.E, q_copy, &q_row);
    const T* const g_rows = readable(g, nq, s.V, g_copy, &g_row);
    dots(g, b.out.from(q0), nq, s.V, delta);
    for (Index i = 0; i < nq; ++i) lse[i] = b.lse[q0 + i];
    if (b.gq.at) std::memset(gqt, 0, static_cast<std::size_t>(s.E * kQueries) * sizeof(T));
    for (Index k0 = 0, end = s.seen(q0, nq); k0 < end; k0 += kKeys) {
        const Index nk = end - k0 < kKeys ? end - k0 : kKeys;
        scores(s, b.k, b.mask, qt, q0, nq, k0, nk, p);
        for (Index j = 0; j < nk; ++j)
            for (Index i = 0; i < kQueries; ++i) p[j * kQueries + i] = exp_(p[j * kQueries + i] - lse[i]);
        if (b.gv) multiply(Product<T>{nk, V, nq, p, kQueries, 1, g_rows, g_row, b.gv + k0 * V, V, true});
        if (!b.gk && !b.gq.at) continue;
        const Rows<T> k = b.k.from(k0), v = b.v.from(k0);
        multiply(Product<T>{nk, kQueries, s.V, v.at, v.row, v.column, gt, kQueries, ds, kQueries, false});
        for (Index j = 0; j < nk; ++j)
            for (Index i = 0; i < kQueries; ++i)
                ds[j * kQueries + i] = p[j * kQueries + i] * (ds[j * kQueries + i] - delta[i]);
        if (b.gk) multiply(Product<T>{nk, E, nq, ds, kQueries, 1, q_rows, q_row, b.gk + k0 * E, E, true});
        if (b.gq.at) multiply(Product<T>{s.E, kQueries, nk, k.at, k.column, k.row, ds, kQueries, gqt, kQueries, true});
    }
    if (!b.gq.at) return;
    T scale[kQueries];
    for (Index i = 0; i < kQueries; ++i) scale[i] = T(s.scale);
    put(gqt, scale, nq, s.E, b.gq.from(q0));
}

// Parts of the sums for one head, (S, width) each and `parts` of them, added up, times a factor.
template <class T>
void add_up(const T* sums, Index parts, Index S, Index width, Index columns, T factor, Rows<T> out) {
    for (Index j = 0; j < S; ++j) {
        T* const row = out.at + j * out.row;
        for (Index d = 0; d < columns; ++d) row[d] = sums[j * width + d] * factor;
        for (Index k = 1; k < parts; ++k)
            for (Index d = 0; d < columns; ++d) row[d] += sums[(k * S + j) * width + d] * factor;
    }
}

const char* const kName = "scaled_dot_product_attention";

// The shape of `like` with other last two sizes.
std::vector<Index> shape_as(const Array& like, Index rows, Index columns) {
    std::vector<Index> shape(like.shape, like.shape + like.dims);
    shape[shape.size() - 2] = rows, shape[shape.size() - 1] = columns;
    return shape;
}

// An argument with the query's dtype and leading dimensions, and these last two (columns < 0: any number).
Array checked(const char* argument, py::handle object, const Array& q, Index rows, Index columns, bool or_bool = false) {
    Array x = view(kName, argument, object);
    if (x.type != q.type && !(or_bool && x.type == Type::boolean)) bad_type(kName, argument, name(q.type), x);
    const std::vector<Index> shape = shape_as(q, rows, columns);
    bool fits = x.dims == q.dims;
    for (int d = 0; fits && d < x.dims; ++d) fits = x.shape[d] == shape[d] || shape[d] < 0;
    if (!fits) bad_shape(kName, argument, shape_text(q.dims, shape.data()), x);
    return x;
}

// A new array (..., rows, columns) with the leading dimensions of `like`, and its heads within or beside its rows in
// memory as they lie there: so a model that makes heads of one product's columns gets columns back, without a copy.
Array laid_out_as(const Array& like, Index rows, Index columns) {
    const std::vector<Index> shape = shape_as(like, rows, columns);
    if (like.dims != 4 || like.strides[1] >= like.strides[2]) return empty(like.type, like.dims, shape.data());
    const Array apart = empty(like.type, {shape[0], rows, shape[1], columns});
    return view(kName, "out", apart.owner.attr("transpose")(0, 2, 1, 3));
}

template <class T>
Mask mask_of(const Array& mask, Index head) {
    if (!mask.dims) return {};
    const Rows<char> bytes = head_of<char>(mask, head);
    return {mask.type, bytes};
}

struct Arguments {
    Array q, k, v, mask;
    Sizes s;
    Arguments(py::handle query, py::handle key, py::handle value, const py::object& mask_or_none, bool causal, double scale) {
        q = view(kName, "query", query);
        if (q.dims < 2) bad_shape(kName, "query", "(..., L, E)", q);
        s = {1, q.shape[q.dims - 2], 0, q.columns(), 0, causal, scale};
        for (int d = 0; d + 2 < q.dims; ++d) s.heads *= q.shape[d];
        k = view(kName, "key", key);
        s.S = k.dims < 2 ? 0 : k.shape[k.dims - 2];
        k = checked("key", key, q, s.S, s.E);
        v = checked("value", value, q, s.S, -1);
        s.V = v.columns();
        if (!mask_or_none.is_none()) mask = checked("mask", mask_or_none, q, s.L, s.S, true);
    }
};

py::tuple attention(py::handle query, py::handle key, py::handle value, const py::object& mask, bool causal, double scale) {
    const Arguments a(query, key, value, mask, causal, scale);
    const Sizes& s = a.s;
    const Array out = laid_out_as(a.q, s.L, s.V), lse = empty(a.q.type, {s.heads, s.L});
    by_float(kName, "query", a.q, [&](auto zero) {
        using T = decltype(zero);
        const Unlocked unlocked(s.work());
        parallel_if(s.work() >= kSmall, s.heads * s.blocks(), [&](Index task) {
            const Index head = task / s.blocks(), q0 = task % s.blocks() * kQueries;
            forward_block<T>(s, head_of<T>(a.q, head), head_of<T>(a.k, head), head_of<T>(a.v, head),
                             mask_of<T>(a.mask, head), q0, s.L - q0 < kQueries ? s.L - q0 : kQueries,
                             head_of<T>(out, head), lse.at<T>() + head * s.L);
        });
    });
    return py::make_tuple(out.owner, py::make_tuple(query, key, value, mask, causal, scale, out.owner, lse.owner));
}

template <class T>
void backward(const Arguments& a, const Array& out, const Array& g, const T* lse, const Array& gq, const Array& gk,
              const Array& gv) {
    const Sizes& s = a.s;
    const Index E = padded<T>(s.E), V = padded<T>(s.V);
    Index parts = s.heads && s.heads < kLeastTasks ? kLeastTasks / s.heads : 1;
    if (parts > s.blocks()) parts = s.blocks() ? s.blocks() : 1;
    const Index size = s.S * (E + V);  // of a part's sums: gk, then gv
    T* const shared = parts > 1 ? scratch<T>(Slot::other, s.heads * parts * size) : nullptr;
    const auto finish = [&](Index head, const T* sums) {
        if (gk.dims) add_up(sums, parts, s.S, E, s.E, T(s.scale), head_of<T>(gk, head));
        if (gv.dims) add_up(sums + parts * s.S * E, parts, s.S, V, s.V, T(1), head_of<T>(gv, head));
    };
    const Unlocked unlocked(s.work());
    parallel_if(s.work() >= kSmall, s.heads * parts, [&](Index task) {
        const Index head = task / parts, part = task % parts;
        T* const sums = parts > 1 ? shared + head * parts * size : scratch<T>(Slot::other, size);
        T *const for_k = sums + part * s.S * E, *const for_v = sums + parts * s.S * E + part * s.S * V;
        std::memset(for_k, 0, static_cast<std::size_t>(s.S * E) * sizeof(T));
        std::memset(for_v, 0, static_cast<std::size_t>(s.S * V) * sizeof(T));
        Backward<T> b{head_of<T>(a.q, head), head_of<T>(a.k, head), head_of<T>(a.v, head), head_of<T>(out, head),
                      head_of<T>(g, head), {}, lse + head * s.L, mask_of<T>(a.mask, head), nullptr, nullptr};
        if (gq.dims) b.gq = head_of<T>(gq, head);
        if (gk.dims) b.gk = for_k;
        if (gv.dims) b.gv = for_v;
        for (Index q0 = part * kQueries; q0 < s.L; q0 += parts * kQueries)
            backward_block(s, b, q0, s.L - q0 < kQueries ? s.L - q0 : kQueries);
        if (parts == 1) finish(head, sums);
    });
    if (parts > 1) parallel(s.heads, [&](Index head) { finish(head, shared + head * parts * size); });
}

py::list attention_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const Arguments a(saved[0], saved[1], saved[2], saved[3], saved[4].cast<bool>(), saved[5].cast<double>());
    const Array out = checked("out", saved[6], a.q, a.s.L, a.s.V), g = checked("g", cotangent, a.q, a.s.L, a.s.V);
    const Array lse = dense(kName, "lse", saved[7], a.q.type, {a.s.heads, a.s.L});
    if (needs.size() > 3 && needs[3].cast<bool>())
        throw py::value_error("scaled_dot_product_attention_vjp: the kernel gives no gradient of the mask");
    Array gradients[3];
    const Array* const of[3] = {&a.q, &a.k, &a.v};
    py::list found;
    for (std::size_t i = 0; i < needs.size(); ++i) {
        const bool wanted = i < 3 && needs[i].cast<bool>();
        if (wanted) gradients[i] = laid_out_as(*of[i], of[i]->shape[of[i]->dims - 2], of[i]->columns());
        found.append(wanted ? gradients[i].owner : py::none());
    }
    by_float(kName, "query", a.q, [&](auto zero) {
        using T = decltype(zero);
        backward<T>(a, out, g, lse.at<T>(), gradients[0], gradients[1], gradients[2]);
    });
    return found;
}

}  // namespace

void bind_attention(py::module_& module) {
    using py::arg;
    module.def("scaled_dot_product_attention", &attention, arg("query"), arg("key"), arg("value"),
               arg("mask") = py::none(), py::kw_only(), arg("is_causal"), arg("scale"), "See tinygrad_edu.nn.attention.");
    module.def("scaled_dot_product_attention_vjp", &attention_vjp, arg("saved"), arg("g"), arg("needs"),
               "The gradients of attention.");
}

}  // namespace tg
