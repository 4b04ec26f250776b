// Convolution: forward, and its gradients with respect to image, weight and bias; see lookup.hpp for the products.
//
//     forward   out[o][pixel]  = sum over (c, i, j)  of  w[o][c, i, j] * x at (pixel's corner) + (c, i, j)
//     backward  gx[c][pixel]   = sum over (o, i, j)  of  w[o, i, j][c] * g at (pixel) - (i, j), in plane o
//               gw[o][c, i, j] = sum over pixels     of  g[o][pixel]   * x at (c, i, j) + (pixel's corner)
//
// The first two are the same with another `Plan`, which says what is read where and what is written where. With a stride
// s the pixels that a gradient is wanted for fall into s x s phases. The kernel's places (i, j) fall into the same
// phases, and those of one phase meet the pixels of that phase only: so each phase is a convolution of stride 1 with some
// of the places, and nothing is multiplied by inserted zeros.
//
// There are two ways to make the sums. With the channels that come out in the lanes of vectors (lookup_left) pixels may
// lie anywhere: everything is read where it lies, and pixels near an edge are regions of their own, with those places of
// the kernel that reach no padding. The results are transposed, in registers, on their way to memory. With pixels in the
// lanes (lookup_right) they are not, and few channels waste no lanes, but strides are 1, rows at least as long as a
// vector, and images are copied first, with the padding's zeros around them.
//
// The work is cut into units, some rows of an image or several small images. Units depend on the shapes alone, and so do
// all sums: any number of threads gives the same bits. conv_transpose2d is the same three sums with forward and backward
// exchanged.

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <vector>

#include "lookup.hpp"
#include "memory.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kUnitPixels = 1024;    // at most, of a unit: its numbers stay in the second cache
constexpr Index kParts = 8;            // units at least, where there are so many images or rows; parts of a sum over all
constexpr double kWorthThreads = 1e6;  // multiply-adds: some ten microseconds

struct Geometry {
    Index images, groups, in, out;  // `in` and `out` channels of one group
    Index h, w, rows, columns;      // the images' size, and the windows' grid
    Index kh, kw, sh, sw, top, left, dh, dw;
    Index places() const { return kh * kw; }
    Index weights() const { return out * in * places(); }  // of a group
    double work() const { return double(images) * groups * weights() * rows * columns; }
};

// Points `begin` to `end` of a side (the rows or the columns), and the kernel's places along it that belong to them.
struct Span {
    Index begin, end;
    std::vector<Index> places;
};

// One side of a plan. Its point X reads at X * step + offset(i), i being a place of the kernel of the point's phase, and
// writes pixel X * to_step + phase - before.
struct Side {
    Index size, step, to_size, to_step, before, kernel, spread, origin, sign;

    Index offset(Index i) const { return origin + sign * (i * spread / to_step); }
    Index pixel(Index at, Index phase) const { return at * to_step + phase - before; }
    Index first() const { return before / to_step; }  // of the points of any phase
    Index end() const { return (to_size - 1 + before) / to_step + 1; }

    // The points of a phase, cut where a place begins or ceases to read within the image.
    std::vector<Span> spans(Index phase) const {
        std::vector<Span> all;
        for (Index at = first(); at < end(); ++at) {
            if (pixel(at, phase) < 0 || pixel(at, phase) >= to_size) continue;
            std::vector<Index> inside;
            for (Index i = 0; i < kernel; ++i) {
                const Index y = at * step + offset(i);
                if (i * spread % to_step == phase && y >= 0 && y < size) inside.push_back(i);
            }
            if (all.empty() || all.back().places != inside) all.push_back({at, at, inside});
            all.back().end = at + 1;
        }
        return all;
    }
};

// Points that have the same places, and the offsets of these: (c, i, j), `at` counting all of them.
struct Region {
    Index phase_y, phase_x;
    Span y, x;
    std::vector<Link> places;
};

struct Unit {
    Index image, images, row, rows;  // its points
    Index begin, end;                // it writes rows begin to end of the images
};

// What is read of images (channels, y.size, x.size) and written to images (lanes, y.to_size, x.to_size).
struct Plan {
    Side y, x;
    Index images, channels, channel_step, lanes, lane_step;  // the steps are the weight's
    std::vector<Region> regions = {};
    double terms = 0;               // a pixel's, on average
    Index together = 1, piece = 1;  // a unit: so many images, or so many rows of points
    Index pieces = 1;               // of an image

    Index from_plane() const { return y.size * x.size; }
    Index to_plane() const { return y.to_size * x.to_size; }
    Index depth() const { return channels * y.kernel * x.kernel; }
    Index points() const { return x.end() - x.first(); }  // in a row
    template <class T>
    Index width() const {  // of a pixel's lanes, filled up to whole vectors
        return vectors<T>(lanes) * kLanes<T>;
    }

    Plan& finish() {
        for (Index v = 0; v < y.to_step; ++v)
            for (Index u = 0; u < x.to_step; ++u)
                for (const Span& p : y.spans(v))
                    for (const Span& q : x.spans(u)) add({v, u, p, q, {}});
        const Index rows = std::max<Index>(1, y.end() - y.first()), pixels = points() * y.to_step * x.to_step;
        const Index share = std::max<Index>(1, images / kParts), fit = std::max<Index>(1, kUnitPixels / pixels);
        together = std::clamp<Index>(fit / rows, 1, share);
        pieces = (rows + fit - 1) / fit;
        piece = (rows + pieces - 1) / pieces;
        return *this;
    }
    void add(Region r) {
        for (Index c = 0; c < channels; ++c)
            for (const Index i : r.y.places)
                for (const Index j : r.x.places)
                    r.places.push_back({c * from_plane() + y.offset(i) * x.size + x.offset(j),
                                        (c * y.kernel + i) * x.kernel + j});
        const Index count = (r.y.end - r.y.begin) * (r.x.end - r.x.begin) * static_cast<Index>(r.places.size());
        terms += double(count) / double(to_plane());
        regions.push_back(std::move(r));
    }

    Index units() const { return (images + together - 1) / together * pieces; }
    Unit unit(Index i) const {
        const Index image = i / pieces * together, row = y.first() + i % pieces * piece;
        const Index rows = std::clamp<Index>(y.end() - row, 0, piece), begin = std::max<Index>(0, y.pixel(row, 0));
        const Index end = std::max(begin, std::min(y.to_size, y.pixel(row + rows, 0)));
        return {image, std::min(together, images - image), row, rows, begin, end};
    }
    // The offsets of a unit's points in a region, `at` counting the pixels that the unit writes. Returns the end.
    Link* points_of(const Unit& unit, const Region& r, Index image_step, Link* to) const {
        const Index y0 = std::max(unit.row, r.y.begin), y1 = std::min(unit.row + unit.rows, r.y.end);
        for (Index image = 0; image < unit.images; ++image)
            for (Index p = y0; p < y1; ++p) {
                const Index from = image * image_step + p * y.step * x.size;
                const Index at = (image * (unit.end - unit.begin) + y.pixel(p, r.phase_y) - unit.begin) * x.to_size;
                for (Index q = r.x.begin; q < r.x.end; ++q) *to++ = {from + q * x.step, at + x.pixel(q, r.phase_x)};
            }
        return to;
    }
};

Plan forward_plan(const Geometry& k) {
    return Plan{{k.h, k.sh, k.rows, 1, 0, k.kh, k.dh, -k.top, 1}, {k.w, k.sw, k.columns, 1, 0, k.kw, k.dw, -k.left, 1},
                k.images, k.in, k.places(), k.out, k.in * k.places()}.finish();
}

// Window Y begins at s Y - before, and reads pixel y at place i if y = s Y - before + i spread. With i spread = s t +
// phase, these are the pixels y = s X - before + phase of windows Y = X - t.
Plan backward_plan(const Geometry& k) {
    return Plan{{k.rows, 1, k.h, k.sh, k.top, k.kh, k.dh, 0, -1}, {k.columns, 1, k.w, k.sw, k.left, k.kw, k.dw, 0, -1},
                k.images, k.out, k.in * k.places(), k.in, k.places()}.finish();
}

// Runs units that together make `work` multiply-adds, on all threads if it is worth it.
template <class Body>
void each(Index units, double work, const Body& body) {
    if (work >= kWorthThreads) return parallel(units, body);
    for (Index i = 0; i < units; ++i) body(i);
}

// Memory that is given back at the end.
template <class T>
struct Block {
    explicit Block(Index count)
        : bytes(static_cast<std::size_t>(count) * sizeof(T)), data(static_cast<T*>(acquire(bytes))) {}
    ~Block() { release(data, bytes); }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    std::size_t bytes;
    T* data;
};

template <class T>
void channels_in_lanes(const Plan& p, const Geometry& k, const T* from, const T* weight, const T* bias, T* out) {
    const Index depth = p.depth(), width = p.width<T>(), lump = p.channel_step == k.places() ? depth : k.places();
    const Block<T> packs(k.groups * depth * width);
    each(k.groups * (depth / lump), double(depth) * width * k.groups, [&](Index i) {  // a lump: what lies side by side
        const Index group = i / (depth / lump), first = i % (depth / lump) * lump;
        pack(weight + group * k.weights() + first / k.places() * p.channel_step, p.lane_step, p.lanes, lump,
             packs.data + group * depth * width, first, depth);
    });
    each(p.units(), k.work(), [&](Index i) {
        const Unit unit = p.unit(i);
        const Index pixels = (unit.end - unit.begin) * p.x.to_size;
        T* const c = scratch<T>(Slot::conv_b, unit.images * pixels * width);
        Link* const rows = scratch<Link>(Slot::other, unit.images * pixels);
        for (Index group = 0; group < k.groups; ++group) {
            const T* const images = from + (unit.image * k.groups + group) * p.channels * p.from_plane();
            for (const Region& region : p.regions) {
                const Index count = p.points_of(unit, region, k.groups * p.channels * p.from_plane(), rows) - rows;
                lookup_left<T>(images, rows, count, region.places.data(), static_cast<Index>(region.places.size()),
                               packs.data + group * depth * width, depth, width / kLanes<T>, c, false);
            }
            for (Index image = 0; image < unit.images; ++image) {
                T* const to = out + ((unit.image + image) * k.groups + group) * p.lanes * p.to_plane();
                transpose(c + image * pixels * width, width, pixels, p.lanes, to + unit.begin * p.x.to_size, p.to_plane(),
                          bias ? bias + group * p.lanes : nullptr);
            }
        }
    });
}

// All steps are 1 here.
template <class T>
void pixels_in_lanes(const Plan& p, const Geometry& k, const T* from, const T* weight, const T* bias, T* out) {
    const Index depth = p.depth();
    const Index far = p.y.sign * (p.y.kernel - 1) * p.y.spread, wide = p.x.sign * (p.x.kernel - 1) * p.x.spread;
    const Block<T> packs(k.groups * p.lanes * depth);
    for (Index i = 0; i < k.groups * p.lanes * p.channels; ++i)
        std::copy_n(weight + i / (p.lanes * p.channels) * k.weights() + i / p.channels % p.lanes * p.lane_step +
                        i % p.channels * p.channel_step, k.places(), packs.data + i * k.places());
    each(p.units(), k.work(), [&](Index i) {
        const Unit unit = p.unit(i);
        // What the unit's points read: from row y0 and column x0 of the images on.
        const Index y0 = unit.row + p.y.origin + std::min<Index>(0, far), height = unit.rows + std::abs(far);
        const Index x0 = p.x.first() + p.x.origin + std::min<Index>(0, wide), pitch = p.points() + std::abs(wide);
        const Index begin = std::clamp<Index>(-x0, 0, pitch), end = std::clamp<Index>(p.x.size - x0, begin, pitch);
        T* const copy = scratch<T>(Slot::conv_a, p.channels * height * pitch);
        Index* const terms = scratch<Index>(Slot::other, depth + 2 * unit.rows * vectors<T>(p.points()));
        Link *const columns = reinterpret_cast<Link*>(terms + depth), *column = columns;
        for (Index r = 0; r < depth; ++r) {
            const Index place = r % k.places();
            terms[r] = (r / k.places() * height + p.y.offset(place / k.kw) - p.y.origin - std::min<Index>(0, far)) * pitch +
                       p.x.offset(place % k.kw) - p.x.origin - std::min<Index>(0, wide);
        }
        for (Index y = 0; y < unit.rows; ++y)
            for (Index x = 0; x < p.points(); x += kLanes<T>) {  // the last vector of a row ends with it
                const Index start = std::min(x, p.points() - kLanes<T>);
                *column++ = {y * pitch + start, (unit.begin + y) * p.x.to_size + start};
            }
        for (Index part = 0; part < unit.images * k.groups; ++part) {
            const Index group = part % k.groups, image = unit.image * k.groups + part;
            T* line = copy;
            for (Index c = image * p.channels; c < (image + 1) * p.channels; ++c)
                for (Index y = y0; y < y0 + height; ++y, line += pitch) {
                    const bool inside = y >= 0 && y < p.y.size;
                    std::fill(line, line + (inside ? begin : pitch), T(0));
                    if (!inside) continue;
                    const T* const source = from + (c * p.y.size + y) * p.x.size + x0;
                    std::copy(source + begin, source + end, line + begin);
                    std::fill(line + end, line + pitch, T(0));
                }
            lookup_right<T>(packs.data + group * p.lanes * depth, p.lanes, copy, columns, column - columns, terms, depth,
                            bias ? bias + group * p.lanes : nullptr, out + image * p.lanes * p.to_plane(), p.to_plane());
        }
    });
}

template <class T>
void run(const Plan& p, const Geometry& k, const T* from, const T* weight, const T* bias, T* out) {
    const bool plain = p.x.step * p.y.step * p.x.to_step * p.y.to_step == 1 && p.points() >= kLanes<T>;
    // Multiply-adds a pixel, in numbers. A transposition takes as long as some 8 terms, a copy as some 4.
    const double left = (p.terms + 8) * p.width<T>();
    const double right = (p.depth() + 4.0) * p.lanes * vectors<T>(p.points()) * kLanes<T> / p.points();
    (plain && right < left ? pixels_in_lanes<T> : channels_in_lanes<T>)(p, k, from, weight, bias, out);
}

// The gradients of weight and bias, either may be left out (nullptr): sums over all units, made in a few parts.
template <class T>
void backward_weight(const Geometry& k, const T* x, const T* g, T* gw, T* gb) {
    const Plan p = forward_plan(k);
    const Index depth = p.depth(), width = p.width<T>(), plane = p.to_plane(), channels = k.groups * k.out;
    const Index units = p.units(), parts = std::min(units, kParts), size = gw ? k.groups * depth * width : 0;
    const Block<T> sums(parts * (size + channels));
    each(parts, k.work(), [&](Index part) {
        T* const sum = sums.data + part * (size + channels);
        std::fill(sum, sum + size + channels, T(0));
        for (Index i = part * units / parts; i < (part + 1) * units / parts; ++i) {
            const Unit unit = p.unit(i);
            const Index pixels = unit.rows * k.columns, all = unit.images * pixels;
            T* const b = scratch<T>(Slot::conv_b, all * width);
            Link* const terms = scratch<Link>(Slot::other, all);
            for (Index group = 0; group < k.groups; ++group) {
                for (Index image = 0; image < unit.images; ++image) {
                    const Index first = ((unit.image + image) * channels + group * k.out) * plane + unit.row * k.columns;
                    const T* const from = g + first;
                    for (Index o = 0; gb && o < k.out; ++o) {
                        T total = 0;
#pragma omp simd reduction(+ : total)
                        for (Index at = 0; at < pixels; ++at) total += from[o * plane + at];
                        sum[size + group * k.out + o] += total;
                    }
                    if (gw) pack(from, plane, k.out, pixels, b, image * pixels, all);
                }
                for (const Region& region : p.regions) {
                    if (!gw) break;
                    const Index count = p.points_of(unit, region, k.groups * k.in * p.from_plane(), terms) - terms;
                    lookup_left<T>(x + (unit.image * k.groups + group) * k.in * p.from_plane(), region.places.data(),
                                   static_cast<Index>(region.places.size()), terms, count, b, all, width / kLanes<T>,
                                   sum + group * depth * width, true);
                }
            }
        }
    });
    const auto total = [&](Index at) {
        T all = 0;
        for (Index part = 0; part < parts; ++part) all += sums.data[part * (size + channels) + at];
        return all;
    };
    for (Index i = 0; gb && i < channels; ++i) gb[i] = total(size + i);
    each(gw ? k.groups * k.in : 0, double(parts) * size, [&](Index at) {
        for (Index place = at % k.in * k.places(), end = place + k.places(); place < end; ++place)
            for (Index o = 0; o < k.out; ++o)
                gw[(at / k.in * k.out + o) * depth + place] = total((at / k.in * depth + place) * width + o);
    });
}

// The bindings. `Transposed`: conv_transpose2d, whose argument is the grid and whose result the images.

using Two = std::array<Index, 2>;
using Four = std::array<Index, 4>;  // at the top, at the bottom, at the left, at the right

// The geometry of a convolution. ValueError if the arguments do not fit each other.
Geometry geometry(const char* function, bool transposed, const Array& x, const Array& weight, const Array& bias, Two stride,
                  Four padding, Two dilation, Index groups) {
    const Index *const sw = weight.shape, least = *std::min_element(sw + 2, sw + 4);
    if (std::min({stride[0], stride[1], dilation[0], dilation[1], groups, least, padding[0] + 1, padding[2] + 1}) < 1)
        throw py::value_error(std::string(function) + ": expected stride, dilation, groups and kernel >= 1, padding >= 0");
    const Index channels = transposed ? sw[0] : sw[1] * groups, lanes = transposed ? sw[1] * groups : sw[0];
    if (x.shape[1] != channels || sw[0] % groups) bad_shape(function, "x", shape_text(4, Four{-1, channels, -1, -1}.data()), x);
    if (bias.data && bias.size() != lanes) bad_shape(function, "bias", shape_text(1, &lanes), bias);
    Two images = {x.shape[2], x.shape[3]}, grid = images;
    for (int i = 0; i < 2; ++i) {
        const Index span = dilation[i] * (sw[2 + i] - 1) + 1 - padding[2 * i] - padding[2 * i + 1];
        if (transposed)
            images[i] = (grid[i] - 1) * stride[i] + span;
        else
            grid[i] = images[i] < span ? 0 : (images[i] - span) / stride[i] + 1;
        if (std::min(images[i], grid[i]) < 1) bad_shape(function, "x", "that the kernel fits into", x);
    }
    return {x.shape[0], groups,  sw[1],     sw[0] / groups, images[0],  images[1],  grid[0],     grid[1],
            sw[2],      sw[3],   stride[0], stride[1],      padding[0], padding[2], dilation[0], dilation[1]};
}

Array images_of(const Geometry& k, Type type) { return empty(type, {k.images, k.groups * k.in, k.h, k.w}); }
Array grid_of(const Geometry& k, Type type) { return empty(type, {k.images, k.groups * k.out, k.rows, k.columns}); }

template <bool Transposed>
py::tuple convolve(py::handle images, py::handle weights, py::handle shift, Two stride, Four padding, Two dilation,
                   Index groups) {
    const char* const function = Transposed ? "conv_transpose2d" : "conv2d";
    const Array x = dense(function, "x", images);
    const Type type = by_float(function, "x", x, [&](auto) { return x.type; });
    if (x.dims != 4) bad_shape(function, "x", "(N, C, H, W)", x);
    const Array weight = dense(function, "weight", weights, type, {-1, -1, -1, -1});
    const Array bias = shift.is_none() ? Array() : dense(function, "bias", shift, type, {-1});
    const Geometry k = geometry(function, Transposed, x, weight, bias, stride, padding, dilation, groups);
    const Array out = Transposed ? images_of(k, type) : grid_of(k, type);
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        const Unlocked unlocked(static_cast<Index>(k.work()));
        run<T>(Transposed ? backward_plan(k) : forward_plan(k), k, x.at<T>(), weight.at<T>(), bias.at<T>(), out.at<T>());
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, weight.owner, stride, padding, dilation, groups));
}

template <bool Transposed>
py::list convolve_vjp(const py::tuple& saved, py::handle cotangent, const std::vector<bool>& needs) {
    const char* const function = Transposed ? "conv_transpose2d_vjp" : "conv2d_vjp";
    const Array x = dense(function, "x", saved[0]), weight = dense(function, "weight", saved[1]);
    const Geometry k = geometry(function, Transposed, x, weight, {}, saved[2].cast<Two>(), saved[3].cast<Four>(),
                                saved[4].cast<Two>(), saved[5].cast<Index>());
    const Index channels = k.groups * (Transposed ? k.in : k.out);
    const Array g = dense(function, "g", cotangent, x.type,
                          {k.images, channels, Transposed ? k.h : k.rows, Transposed ? k.w : k.columns});
    const Array gx = needs.at(0) ? empty_like(x) : Array(), gw = needs.at(1) ? empty_like(weight) : Array();
    const Array gb = needs.size() > 2 && needs[2] ? empty(x.type, {channels}) : Array();
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        const Unlocked unlocked(static_cast<Index>(k.work()));
        if (gx.data)
            run<T>(Transposed ? forward_plan(k) : backward_plan(k), k, g.at<T>(), weight.at<T>(), nullptr, gx.at<T>());
        if (!Transposed && (gw.data || gb.data)) backward_weight<T>(k, x.at<T>(), g.at<T>(), gw.at<T>(), gb.at<T>());
        if (Transposed && gw.data) backward_weight<T>(k, g.at<T>(), x.at<T>(), gw.at<T>(), nullptr);
        const Geometry sums = {k.images, 1, 0, channels, k.h, k.w, k.h, k.w, 1, 1, 1, 1, 0, 0, 1, 1};
        if (Transposed && gb.data) backward_weight<T>(sums, nullptr, g.at<T>(), nullptr, gb.at<T>());
    });
    py::list gradients;
    for (std::size_t i = 0; i < needs.size(); ++i) {
        const Array& one = i == 0 ? gx : i == 1 ? gw : gb;
        gradients.append(one.owner ? one.owner : py::none());
    }
    return gradients;
}

template <bool Transposed>
void bind(py::module_& module, const std::string& name) {
    using py::arg;
    module.def(name.c_str(), &convolve<Transposed>, arg("x"), arg("weight"), arg("bias") = py::none(), py::kw_only(),
               arg("stride"), arg("padding"), arg("dilation"), arg("groups"), "See tinygrad_edu.nn.convolution.");
    module.def((name + "_vjp").c_str(), &convolve_vjp<Transposed>, arg("saved"), arg("g"), arg("needs"));
}

}  // namespace

void bind_convolutions(py::module_& module) {
    bind<false>(module, "conv2d");
    bind<true>(module, "conv_transpose2d");
}

}  // namespace tg
