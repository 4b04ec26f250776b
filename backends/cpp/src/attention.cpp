// Attention without the matrix of weights: softmax(scale Q K^T + mask) V, a block of queries and a block of keys at a time.
//
// For L queries and S keys there are L x S weights, too many to keep for long sequences. But a softmax can be made in
// one pass: with the largest score so far, m, and the sum of exp(score - m) so far, l, a new block of keys that has a
// larger score only asks for what was summed to be multiplied by exp(m - new m). So the forward pass goes through the
// keys in blocks of 64, for 32 queries at a time, with everything in the first-level cache, and keeps of each query no
// more than log(sum of exp(score)), from which the backward pass makes any block of weights again:
//
//     P = exp(S - lse)              gV = P^T G             dP = G V^T
//     dS = scale P (dP - delta)     gQ = dS K              gK = dS^T Q         delta = sum over features of G out
//
// All blocks are held transposed, (keys, queries), the queries along the vectors: then maxima and sums over keys are
// operations on whole vectors, and neither K nor V needs packing (see tile.hpp). With a causal mask, keys that come after
// all queries of a block are left out.
//
// Threads share the batch entries, heads and blocks of queries. Backwards, several blocks of queries add to the gradient
// of the same key: these go to one thread, in order, unless there are few heads; then the blocks of queries are dealt
// out to a fixed number of parts, each with sums of its own, which are added up in the end.
//
// Sources: M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et al.,
// "FlashAttention", NeurIPS 2022, and T. Dao, "FlashAttention-2", 2023, for the order of the loops.

#include "gemm.hpp"
#include "math.hpp"
#include "subjects.hpp"
#include "tile.hpp"

namespace tg {
namespace {

constexpr Index kQueries = 32, kKeys = 64;  // in a block
constexpr Index kLeastTasks = 8;    // backwards: with fewer heads than these their queries are dealt out
constexpr Index kSmall = 1 << 17;   // multiplications below which nobody is woken

struct Sizes {
    Index heads, L, S, E, V;
    bool causal;
    double scale;
    Index blocks() const { return ceil_div(L, kQueries); }
    Index work() const { return heads * L * S * (E + V) / (causal ? 2 : 1); }
};

// The rows of one head, or some of them; strides in elements. `at` is nullptr where there is no such array.
template <class T>
struct Rows {
    T* at = nullptr;
    Index row = 0, column = 0;
    Rows from(Index i) const { return {at + i * row, row, column}; }
    Rows transposed() const { return {at, column, row}; }
};

template <class T>
Rows<T> head_of(const Array& x, Index head) {  // x: (..., rows, columns)
    if (!x.dims) return {};
    char* at = x.data;
    for (int d = x.dims - 3; d >= 0; --d) {
        at += head % x.shape[d] * x.strides[d];
        head /= x.shape[d];
    }
    constexpr Index size = sizeof(T);
    return {reinterpret_cast<T*>(at), x.strides[x.dims - 2] / size, x.strides[x.dims - 1] / size};
}

// c (m, n) (+)= a (m, depth) @ b (depth, n)
template <class T>
void multiply(Rows<T> a, Index m, Index depth, const T* b, Index n, T* c, bool add) {
    multiply(Product<T>{m, depth, n, a.at, a.row, a.column, b, c, n, add});
}

// n rows of x as columns of (columns, kQueries), where the rest does not matter, times a factor.
template <class T>
void turn(Rows<T> x, Index n, Index columns, T factor, T* to) {
    pack_panel(x.at, x.row, x.column, n, columns, kQueries, to);
    for (Index i = 0; i < columns * kQueries; ++i) to[i] *= factor;
}
// The other way: columns become n rows of `to`, by way of `spare`, as whole vectors are written. (Rows that we made are
// contiguous.)
template <class T>
void turn_back(const T* x, Index n, Index columns, T* spare, Rows<T> to) {
    pack_panel(x, kQueries, Index(1), columns, n, columns, spare);
    for (Index i = 0; i < n; ++i) std::copy_n(spare + i * columns, columns, to.at + i * to.row);
}

// x (rows, kQueries) times one factor for each query.
template <class T>
void rescale(T* x, Index rows, const T* factors) {
    for (Index j = 0; j < rows; ++j)
        for (Index i = 0; i < kQueries; ++i) x[j * kQueries + i] *= factors[i];
}

template <class T>
struct Head {
    Sizes s;
    Rows<T> q, k, v, out, g, gq, gk, gv;
    T* lse;
    Rows<char> mask;  // strides in bytes
    Type mask_type;   // boolean: says which scores count; else it is added to them

    // Calls body(first key, keys) for the blocks of keys that any of the n queries from q0 on sees. Inlined whatever the
    // compiler thinks of it: else it could not tell that the arrays which body refers to do not overlap.
    template <class Body>
    TG_INLINE void each_block(Index q0, Index n, const Body& body) const {
        const Index end = s.causal ? std::min(q0 + n, s.S) : s.S;
        for (Index k0 = 0; k0 < end; k0 += kKeys) body(k0, std::min(kKeys, end - k0));
    }

    // The scores of these keys for the queries in `qt` (E, kQueries): (nk, kQueries).
    void scores(const T* qt, Index q0, Index nq, Index k0, Index nk, T* p) const {
        multiply(k.from(k0), nk, s.E, qt, kQueries, p, false);
        for (Index j = 0; j < nk; ++j) {
            T* const of_key = p + j * kQueries;
            for (Index i = 0; s.causal && i < k0 + j - q0 && i < kQueries; ++i) of_key[i] = -infinity<T>;
            for (Index i = 0; mask.at && i < nq; ++i) {
                const char* const m = mask.at + (q0 + i) * mask.row + (k0 + j) * mask.column;
                if (mask_type != Type::boolean)
                    of_key[i] += *reinterpret_cast<const T*>(m);
                else if (!*m)
                    of_key[i] = -infinity<T>;
            }
        }
    }

    // The result of the queries from q0 on, and the logarithm of the sum of exp(score).
    void forward(Index q0) const {
        const Index nq = std::min(kQueries, s.L - q0);
        T* const qt = scratch<T>(Slot::attention, (s.E + 2 * s.V + kKeys + 2) * kQueries);
        T *const p = qt + s.E * kQueries, *const ot = p + kKeys * kQueries, *const spare = ot + s.V * kQueries;
        T top[kQueries], sum[kQueries], shift[kQueries], shrink[kQueries];  // the compiler knows that p is none of these
        turn(q.from(q0), nq, s.E, T(s.scale), qt);
        std::fill(ot, ot + s.V * kQueries, T(0));
        for (Index i = 0; i < kQueries; ++i) top[i] = -infinity<T>, sum[i] = 0, shift[i] = 0;
        each_block(q0, nq, [&](Index k0, Index nk) {
            scores(qt, q0, nq, k0, nk, p);
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
            if (k0) rescale(ot, s.V, shrink);
            multiply(v.from(k0).transposed(), s.V, nk, p, kQueries, ot, true);
        });
        for (Index i = 0; i < kQueries; ++i) {
            const bool nothing = sum[i] == 0;  // every key is masked: the result is 0, and so are the weights made of lse
            shrink[i] = nothing ? T(0) : T(1) / sum[i];
            if (i < nq) lse[q0 + i] = nothing ? infinity<T> : shift[i] + std::log(sum[i]);
        }
        rescale(ot, s.V, shrink);
        turn_back(ot, nq, s.V, spare, out.from(q0));
    }

    // gQ of the queries from q0 on, and what they add to the sums for gK and gV, (S, padded E) and (S, padded V), if any.
    void backward(Index q0, T* sums_k, T* sums_v) const {
        const Index nq = std::min(kQueries, s.L - q0), E = padded<T>(s.E), V = padded<T>(s.V);
        T* const qt = scratch<T>(Slot::attention, (3 * E + 2 * V + 2 * kKeys + 2) * kQueries);
        T *const gt = qt + s.E * kQueries, *const p = gt + s.V * kQueries, *const ds = p + kKeys * kQueries;
        T *const gqt = ds + kKeys * kQueries, *const q_rows = gqt + s.E * kQueries, *const g_rows = q_rows + E * kQueries;
        T end[kQueries] = {}, delta[kQueries] = {};
        turn(q.from(q0), nq, s.E, T(s.scale), qt);
        turn(g.from(q0), nq, s.V, T(1), gt);
        turn(out.from(q0), nq, s.V, T(1), g_rows);
        for (Index d = 0; d < s.V; ++d)  // in the order in which dP is summed up: with one key alone both are the same
            for (Index i = 0; i < kQueries; ++i) delta[i] += gt[d * kQueries + i] * g_rows[d * kQueries + i];
        for (Index i = 0; i < nq; ++i) end[i] = lse[q0 + i];
        // Rows in one piece, filled up to whole vectors: the first ones first, for what is written beyond their end.
        pack_panel(q.from(q0).at, q.column, q.row, s.E, nq, E, q_rows);
        pack_panel(g.from(q0).at, g.column, g.row, s.V, nq, V, g_rows);
        std::fill(gqt, gqt + s.E * kQueries, T(0));
        each_block(q0, nq, [&](Index k0, Index nk) {
            scores(qt, q0, nq, k0, nk, p);
            for (Index j = 0; j < nk; ++j)
                for (Index i = 0; i < kQueries; ++i) p[j * kQueries + i] = exp_(p[j * kQueries + i] - end[i]);
            if (sums_v) multiply({p, kQueries, 1}, nk, nq, g_rows, V, sums_v + k0 * V, true);
            if (!sums_k && !gq.at) return;
            multiply(v.from(k0), nk, s.V, gt, kQueries, ds, false);
            for (Index j = 0; j < nk; ++j)
                for (Index i = 0; i < kQueries; ++i)
                    ds[j * kQueries + i] = T(s.scale) * p[j * kQueries + i] * (ds[j * kQueries + i] - delta[i]);
            if (sums_k) multiply({ds, kQueries, 1}, nk, nq, q_rows, E, sums_k + k0 * E, true);
            if (gq.at) multiply(k.from(k0).transposed(), s.E, nk, ds, kQueries, gqt, true);
        });
        if (gq.at) turn_back(gqt, nq, s.E, q_rows, gq.from(q0));
    }
};

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

struct Arguments {
    Array q, k, v, mask, out, lse, g, gq, gk, gv;
    Sizes s;
    Arguments(py::handle query, py::handle key, py::handle value, const py::object& mask_or_none, bool causal, double scale) {
        q = view(kName, "query", query);
        if (q.dims < 2) bad_shape(kName, "query", "(..., L, E)", q);
        k = view(kName, "key", key);
        const Index keys = k.dims < 2 ? 0 : k.shape[k.dims - 2];
        s = {q.size(0, q.dims - 2), q.shape[q.dims - 2], keys, q.columns(), 0, causal, scale};
        k = checked("key", key, q, s.S, s.E);
        v = checked("value", value, q, s.S, -1);
        s.V = v.columns();
        if (!mask_or_none.is_none()) mask = checked("mask", mask_or_none, q, s.L, s.S, true);
    }
    template <class T>
    Head<T> head(Index i) const {
        return {s, head_of<T>(q, i), head_of<T>(k, i), head_of<T>(v, i), head_of<T>(out, i), head_of<T>(g, i),
                head_of<T>(gq, i), head_of<T>(gk, i), head_of<T>(gv, i), lse.at<T>() + i * s.L,
                head_of<char>(mask, i), mask.type};
    }
};

py::tuple attention(py::handle query, py::handle key, py::handle value, const py::object& mask, bool causal, double scale) {
    Arguments a(query, key, value, mask, causal, scale);
    const Sizes& s = a.s;
    a.out = laid_out_as(a.q, s.L, s.V), a.lse = empty(a.q.type, {s.heads, s.L});
    by_float(kName, "query", a.q, [&](auto zero) {
        parallel_if(s.work() >= kSmall, s.heads * s.blocks(), [&](Index task) {
            a.head<decltype(zero)>(task / s.blocks()).forward(task % s.blocks() * kQueries);
        });
    }, s.work());
    return py::make_tuple(a.out.owner, py::make_tuple(query, key, value, mask, causal, scale, a.out.owner, a.lse.owner));
}

// Sums for one head, `parts` of them and `size` numbers apart, added up: rows of `width` numbers, the first `columns` count.
template <class T>
void add_up(const T* sums, Index parts, Index size, Index width, Index S, Index columns, Rows<T> to) {
    for (Index j = 0; to.at && j < S; ++j)
        for (Index k = 0; k < parts; ++k)
            for (Index d = 0; d < columns; ++d) {
                T& sum = to.at[j * to.row + d];
                sum = sums[k * size + j * width + d] + (k ? sum : T(0));
            }
}

template <class T>
void backward(const Arguments& a) {
    const Sizes& s = a.s;
    const Index E = padded<T>(s.E), V = padded<T>(s.V), size = s.S * (E + V);  // of a part's sums
    const Index most = s.heads && s.heads < kLeastTasks ? kLeastTasks / s.heads : 1;
    const Index parts = std::max(Index(1), std::min(s.blocks(), most));
    T* const shared = parts > 1 ? scratch<T>(Slot::other, s.heads * parts * size) : nullptr;
    const auto finish = [&](const Head<T>& head, const T* sums) {
        add_up(sums, parts, size, E, s.S, s.E, head.gk);
        add_up(sums + s.S * E, parts, size, V, s.S, s.V, head.gv);
    };
    parallel_if(s.work() >= kSmall, s.heads * parts, [&](Index task) {
        const Head<T> head = a.head<T>(task / parts);
        T* const sums = shared ? shared + task * size : scratch<T>(Slot::other, size);
        std::fill_n(sums, size, T(0));
        for (Index q0 = task % parts * kQueries; q0 < s.L; q0 += parts * kQueries)
            head.backward(q0, head.gk.at ? sums : nullptr, head.gv.at ? sums + s.S * E : nullptr);
        if (!shared) finish(head, sums);
    });
    if (shared) parallel(s.heads, [&](Index head) { finish(a.head<T>(head), shared + head * parts * size); });
}

py::list attention_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    Arguments a(saved[0], saved[1], saved[2], saved[3], saved[4].cast<bool>(), saved[5].cast<double>());
    const Sizes& s = a.s;
    a.out = checked("out", saved[6], a.q, s.L, s.V), a.g = checked("g", cotangent, a.q, s.L, s.V);
    a.lse = dense(kName, "lse", saved[7], a.q.type, {s.heads, s.L});
    if (wanted(needs, 3)) throw py::value_error("scaled_dot_product_attention_vjp: the kernel gives no gradient of the mask");
    if (wanted(needs, 0)) a.gq = laid_out_as(a.q, s.L, s.E);
    if (wanted(needs, 1)) a.gk = laid_out_as(a.k, s.S, s.E);
    if (wanted(needs, 2)) a.gv = laid_out_as(a.v, s.S, s.V);
    by_float(kName, "query", a.q, [&](auto zero) { backward<decltype(zero)>(a); }, s.work());
    return gradients(needs, {a.gq, a.gk, a.gv});
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
