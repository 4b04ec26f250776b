// Pooling: the largest, or the average, of each window, and the way back.
//
// Written window by window this would be a chain of comparisons or of sums. Written place by place it is vector code: for
// each row of windows, and for each place (i, j) of the kernel, the elements at that place of all windows of the row are
// compared with the largest so far, side by side. Of the windows that reach into the padding, a place takes those in which
// it is inside the image. An average takes less: the rows of the image that a row of windows covers are added up to one
// line, and windows add up pieces of that. On the way back windows are spread over a line, and the line over rows.
//
// For the way back max_pool2d keeps which place was the largest, a byte a window where torch keeps an int64; the gradient
// goes there alone. Of equal elements the first counts, of several NaN the last, as in torch.

#include <pybind11/stl.h>

#include <tuple>

#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

using Settings = std::tuple<Two, Two, Four, Two, Two>;  // size, stride, padding, dilation, how many windows
using Counting = std::optional<Two>;                    // how far outside of the image an average counts zeros
using Divisor = std::optional<Index>;                   // what a sum is divided by, in place of how many it is of
using One = std::integral_constant<Index, 1>;           // a step that the compiler knows

constexpr Index kBlock = 1 << 15;  // elements that a thread takes at a time

// A place of the kernel: where it is in the plane for window (0, 0), and in which windows, rows and columns of them from
// the first to before the last, it is in the image.
struct Place {
    Index at;
    Two rows, columns;
    bool in(Index row) const { return rows[0] <= row && row < rows[1]; }
};

struct Windows {
    Index planes;
    Two image, size, stride;
    Four padding;
    Two dilation, counts;
    std::vector<Place> places = {};
    bool within = true;    // no window reaches into the padding at the left or at the right
    Index whole_rows = 0;  // the elements of a window that consists of whole rows of the image, side by side

    // ValueError where a window would lie in the padding alone, or could not be at all.
    Windows(const char* function, const Array& x, const Settings& settings) {
        if (x.dims != 4) bad_shape(function, "x", "(N, C, H, W)", x);
        std::tie(size, stride, padding, dilation, counts) = settings;
        planes = x.shape[0] * x.shape[1], image = {x.shape[2], x.shape[3]};
        bool fits = std::min({size[0], size[1], stride[0], stride[1], dilation[0], dilation[1], counts[0], counts[1]}) > 0;
        std::vector<Two> inside[2];  // for each row and each column of the kernel
        for (int side = 0; side < 2 && fits; ++side) {
            for (Index i = 0; i < size[side]; ++i) {
                const Index at = i * dilation[side] - padding[2 * side], room = image[side] - 1 - at;
                inside[side].push_back({at < 0 ? (stride[side] - 1 - at) / stride[side] : 0,
                                        room < 0 ? 0 : std::min(counts[side], room / stride[side] + 1)});
            }
            for (Index k = 0; k < counts[side] && fits; ++k)
                fits = std::any_of(inside[side].begin(), inside[side].end(), [=](Two in) { return in[0] <= k && k < in[1]; });
        }
        if (!fits) bad_shape(function, "x", "of which every window has an element", x);
        if (size[1] == image[1] && padding == Four{}) whole_rows = size[0] * image[1];
        for (Index i = 0; i < size[0]; ++i)
            for (Index j = 0; j < size[1]; ++j) {
                const Index row = i * dilation[0] - padding[0], column = j * dilation[1] - padding[2];
                places.push_back({row * image[1] + column, inside[0][i], inside[1][j]});
                within = within && inside[1][j] == Two{0, counts[1]};
            }
    }
    Index inputs() const { return image[0] * image[1]; }
    Index outputs() const { return counts[0] * counts[1]; }
    Index down() const { return stride[0] * image[1]; }  // from a row of windows to the next
    // What the sum of each window is divided by.
    template <class T>
    std::vector<T> divisors(const Two& counting, const Divisor& divisor) const {
        const auto counted = [&](int side, Index k) {
            const Index start = k * stride[side] - padding[2 * side], end = image[side] + counting[side];
            return std::min(start + size[side], end) - std::max(start, -counting[side]);
        };
        std::vector<T> all;
        for (Index i = 0; i < outputs(); ++i)
            all.push_back(T(divisor ? *divisor : counted(0, i / counts[1]) * counted(1, i % counts[1])));
        return all;
    }
};

// The largest of a row of windows so far, and the number of the place where it is; better(value, best, where) tells whether
// another place's is. Of equal elements the first counts, of several NaN the last.
constexpr auto better = [](auto value, auto best, auto where) { return (value > best) | (value != value) | (where < 0); };

// A vector of windows at a time, each with elements in all places: best and where stay in registers. With masks alone.
template <int step, class T, class Kept>
void largest_in_lanes(const Windows& p, Index row, const T* x, T* out, Kept* kept) {
    constexpr Index L = kLanes<T>;
    Places<T> evens;
    for (int i = 0; i < L; ++i) evens[i] = step * i;
    for (Index k = 0; k < p.counts[1]; k += L) {
        const Index n = std::min(L, p.counts[1] - k), reach = step * (n - 1) + 1;
        Vec<T> best = broadcast(-std::numeric_limits<T>::infinity());
        Places<T> where = Places<T>{} - 1;
        for (int number = 0; number < static_cast<int>(p.places.size()); ++number) {
            if (!p.places[number].in(row)) continue;
            const T* const from = x + p.places[number].at + k * step;
            Vec<T> value = load_first(from, std::min(L, reach), T(0));
            if (step == 2) value = __builtin_shuffle(value, load_first(from + L, std::max<Index>(0, reach - L), T(0)), evens);
            const auto chosen = better(value, best, where);
            best = chosen ? value : best, where = chosen ? Places<T>{} + number : where;
        }
        store_lanes<T>(out + k, best, 0, n);
        for (Index i = 0; i < n; ++i) kept[k + i] = static_cast<Kept>(where[i]);
    }
}

template <class Step, class T, class Kept>
void largest(const Windows& p, Step step, const T* x, T* out, Kept* kept) {
    using Int = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;  // as wide as T: for the same vectors
    Int* const where = scratch<Int>(Slot::other, p.counts[1]);
    for (Index row = 0; row < p.counts[0]; ++row, x += p.down(), out += p.counts[1], kept += p.counts[1]) {
        if constexpr (kMasks && !std::is_same_v<Step, Index>)
            if (p.within) {
                largest_in_lanes<Step::value>(p, row, x, out, kept);
                continue;
            }
        std::fill_n(where, p.counts[1], Int(-1));
        std::fill_n(out, p.counts[1], -std::numeric_limits<T>::infinity());
        for (Int number = 0; number < static_cast<Int>(p.places.size()); ++number) {
            const Place& place = p.places[number];
            if (!place.in(row)) continue;
            const T* const from = x + place.at;
            const Index end = place.columns[1];
#pragma omp simd simdlen(8)
            for (Index k = place.columns[0]; k < end; ++k) {
                const T value = from[k * step];
                const bool chosen = better(value, out[k], where[k]);
                out[k] = chosen ? value : out[k];
                where[k] = chosen ? number : where[k];
            }
        }
        std::copy_n(where, p.counts[1], kept);
    }
}

template <class T, class Kept>
void largest_back(const Windows& p, const T* g, const Kept* kept, T* gx) {
    std::fill_n(gx, p.inputs(), T(0));
    for (Index row = 0; row < p.counts[0]; ++row, gx += p.down())
        for (Index k = 0; k < p.counts[1]; ++k, ++g, ++kept) gx[k * p.stride[1] + p.places[*kept].at] += *g;
}

// to[k * to_step] += from[k * from_step] for all k in the range.
template <class T, class To, class From>
void add_to(Two range, T* to, To to_step, const T* from, From from_step) {
    const Index end = range[1];
#pragma omp simd simdlen(8)
    for (Index k = range[0]; k < end; ++k) to[k * to_step] += from[k * from_step];
}

template <class Step, class T>
void average(const Windows& p, Step step, const T* x, const T* divisors, T* out) {
    std::fill_n(out, p.outputs(), T(0));
    const Index width = p.image[1];
    T* const line = p.whole_rows ? nullptr : scratch<T>(Slot::other, width);
    for (Index row = 0; row < p.counts[0]; ++row, x += p.down()) {
        T* const sums = out + row * p.counts[1];
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (Index k = 0; k < p.whole_rows; ++k) sum += x[k];
        *sums = sum;
        if (p.whole_rows) continue;
        std::fill_n(line, width, T(0));
        for (Index i = 0; i < p.size[0]; ++i)
            if (p.places[i * p.size[1]].in(row)) add_to({0, width}, line, One(), x + (i - p.padding[0]) * width, One());
        for (Index j = 0; j < p.size[1]; ++j) add_to(p.places[j].columns, sums, One(), line + j - p.padding[2], step);
    }
    for (Index i = 0; i < p.outputs(); ++i) out[i] /= divisors[i];
}

template <class Step, class T>
void average_back(const Windows& p, Step step, const T* g, const T* divisors, T* gx) {
    const Index width = p.image[1];
    T *const shares = scratch<T>(Slot::other, width + p.outputs()), *const line = shares + p.outputs();
    for (Index i = 0; i < p.outputs(); ++i) shares[i] = g[i] / divisors[i];
    std::fill_n(gx, p.inputs(), T(0));
    for (Index row = 0; row < p.counts[0]; ++row, gx += p.down()) {
        const T* const share = shares + row * p.counts[1];
        for (Index k = 0; k < p.whole_rows; ++k) gx[k] += *share;
        if (p.whole_rows) continue;
        std::fill_n(line, width, T(0));
        for (Index j = 0; j < p.size[1]; ++j) add_to(p.places[j].columns, line + j - p.padding[2], step, share, One());
        for (Index i = 0; i < p.size[0]; ++i)
            if (p.places[i * p.size[1]].in(row)) add_to({0, width}, gx + (i - p.padding[0]) * width, One(), line, One());
    }
}

// Calls f(step, offset in images, offset in results) for each plane. A common step from window to window is a constant:
// loops over it become vector instructions then.
template <class F>
void each_plane(const Windows& p, const F& f) {
    const auto all = [&](auto step) {
        share(p.planes, kBlock, [&](Index begin, Index end) {
            for (Index plane = begin; plane < end; ++plane) f(step, plane * p.inputs(), plane * p.outputs());
        }, p.inputs());
    };
    if (p.stride[1] == 1) return all(One());
    if (p.stride[1] == 2) return all(std::integral_constant<Index, 2>());
    all(p.stride[1]);
}

// The bindings: the average if there is a `counting`, else the largest. `back` is the way back: from y to x.

template <bool back>
void pool(const char* function, const Windows& p, const Array& x, const Array& y, const Array& kept, Counting counting,
          Divisor divisor) {
    by_float(function, back ? "g" : "x", x, [&](auto zero) {
        using T = decltype(zero);
        const auto divisors = counting ? p.divisors<T>(*counting, divisor) : std::vector<T>();
        each_plane(p, [&](auto step, Index in, Index out) {
            T *const from = x.at<T>() + in, *const to = y.at<T>() + out;
            const auto best = [&](auto* places) {
                if constexpr (back) largest_back(p, to, places + out, from);
                else largest(p, step, from, to, places + out);
            };
            if (counting && back) average_back(p, step, to, divisors.data(), from);
            else if (counting) average(p, step, from, divisors.data(), to);
            else if (kept.type == Type::u8) best(kept.at<unsigned char>());
            else best(kept.at<std::int32_t>());
        });
    });
}

py::tuple forward(const char* function, py::handle images, const Settings& settings, Counting counting, Divisor divisor) {
    const Array x = dense(function, "x", images);
    const Windows p(function, x, settings);
    const Array out = empty(x.type, {x.shape[0], x.shape[1], p.counts[0], p.counts[1]});
    const Array kept = counting ? Array() : empty(p.places.size() < 256 ? Type::u8 : Type::i32, out.dims, out.shape);
    pool<false>(function, p, x, out, kept, counting, divisor);
    return py::make_tuple(out.owner, py::make_tuple(or_none(kept), p.image, settings, counting, divisor));
}

py::list pool_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const auto counting = saved[3].cast<Counting>();
    const char* const function = counting ? "avg_pool2d_vjp" : "max_pool2d_vjp";
    const Array g = dense(function, "g", cotangent), kept = counting ? Array() : dense(function, "saved", saved[0]);
    const auto settings = saved[2].cast<Settings>();
    const Two image = saved[1].cast<Two>(), counts = std::get<4>(settings);
    if (g.dims != 4 || g.shape[2] != counts[0] || g.shape[3] != counts[1] || (kept.data && kept.size() != g.size()))
        bad_shape(function, "g", shape_text(4, Four{-1, -1, counts[0], counts[1]}.data()), g);
    const Array gx = empty(g.type, {g.shape[0], g.shape[1], image[0], image[1]});
    pool<true>(function, Windows(function, gx, settings), gx, g, kept, counting, saved[4].cast<Divisor>());
    return gradients(needs, {gx});
}

py::tuple max_pool2d(py::handle x, Two size, Two stride, Four padding, Two dilation, Two counts) {
    return forward("max_pool2d", x, {size, stride, padding, dilation, counts}, {}, {});
}

py::tuple avg_pool2d(py::handle x, Two size, Two stride, Four padding, Two counts, Two counting, Divisor divisor) {
    return forward("avg_pool2d", x, {size, stride, padding, {1, 1}, counts}, counting, divisor);
}

}  // namespace

void bind_pooling(py::module_& module) {
    using py::arg;
    module.def("max_pool2d", &max_pool2d, arg("x"), py::kw_only(), arg("kernel_size"), arg("stride"), arg("padding"),
               arg("dilation"), arg("counts"), "See tinygrad_edu.nn.pooling.");
    module.def("avg_pool2d", &avg_pool2d, arg("x"), py::kw_only(), arg("kernel_size"), arg("stride"), arg("padding"),
               arg("counts"), arg("counting"), arg("divisor"), "See tinygrad_edu.nn.pooling.");
    for (const char* name : {"max_pool2d_vjp", "avg_pool2d_vjp"})
        module.def(name, &pool_vjp, arg("saved"), arg("g"), arg("needs"));
}

}  // namespace tg
