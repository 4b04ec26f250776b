// NumPy arrays as the bindings see them: checked on the way in, made on the way out.
//
// An `Array` is a view, without a copy, of a NumPy array that Python keeps alive during the call. What a kernel behind
// the bindings gets are pointers, sizes and strides only. Nothing is converted: a wrong dtype or shape is an error that
// names the function, the argument, what was expected and what came (pybind11's own array arguments would convert
// silently). Only memory that a kernel cannot walk through, unaligned or not contiguous where it must be, is copied.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

// Beside what is needed here, what most files of kernels need.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "pool.hpp"

namespace tg {
namespace py = pybind11;

constexpr int kMaxDims = 64;  // NumPy's own limit

using Two = std::array<Index, 2>;   // along rows, along columns
using Four = std::array<Index, 4>;  // at the top, at the bottom, at the left, at the right

enum class Type { f32, f64, i64, i32, u8, boolean, other };  // `other`: whatever no kernel handles

struct Array {
    py::object owner;  // the array itself, or the copy that the pointers are of
    char* data = nullptr;
    int dims = 0;
    const Index* shape = nullptr;    // dims numbers
    const Index* strides = nullptr;  // in bytes
    Type type = Type::other;
    bool contiguous = false;  // in C order

    Index size(int from, int to) const {  // of these dimensions, taken together
        Index n = 1;
        for (int i = from; i < to; ++i) n *= shape[i];
        return n;
    }
    Index size() const { return size(0, dims); }
    Index rows() const { return size(0, dims - 1); }
    Index columns() const { return dims ? shape[dims - 1] : 1; }
    template <class T>
    T* at() const {
        return reinterpret_cast<T*>(data);
    }
};

bool is_array(py::handle object);
// A view of a NumPy array, copied only if it is unaligned. TypeError if it is no NumPy array.
Array view(const char* function, const char* argument, py::handle object);
// The same, copied if it is not contiguous in C order.
Array dense(const char* function, const char* argument, py::handle object);
// The same, and TypeError unless it is of that dtype, ValueError unless it has that shape (-1: any size).
Array dense(const char* function, const char* argument, py::handle object, Type type, std::initializer_list<Index> shape);
// The same for an argument that may be None, which gives an empty Array.
Array optional(const char* function, const char* argument, py::handle object, Type type, std::initializer_list<Index> shape);
// TypeError, ValueError unless y has x's dtype and shape: a cotangent those of its result.
void check_like(const char* function, const char* argument, const Array& y, const Array& x);
// A dense view, so checked.
Array like(const char* function, const char* argument, py::handle object, const Array& x);
// An array that a kernel writes into. Where its memory is not aligned or not in C order, `array` is a copy of it, which
// `finish` writes back. TypeError, ValueError unless it is of that dtype and size, and writable.
struct Target {
    Array array;
    py::object original;  // empty where the array is written directly
    void finish() const;
};
Target target(const char* function, const char* argument, py::handle object, Type type, Index size);

// A new array in C order, its memory not filled in. Large ones come from the store of memory.hpp.
Array empty(Type type, int dims, const Index* shape);
inline Array empty(Type type, std::initializer_list<Index> shape) { return empty(type, int(shape.size()), shape.begin()); }
inline Array empty_like(const Array& x) { return empty(x.type, x.dims, x.shape); }

const char* name(Type type);
int item_size(Type type);         // bytes of an element
Type type_from(py::handle dtype);  // of a NumPy dtype
std::string shape_text(int dims, const Index* shape);  // "(3, 4)"
[[noreturn]] void bad_type(const char* function, const char* argument, const char* expected, const Array& got);
[[noreturn]] void bad_shape(const char* function, const char* argument, const std::string& expected, const Array& got);

// The GIL, released as long as this lives, where the work is worth it: other Python threads may run then.
struct Unlocked : std::optional<py::gil_scoped_release> {
    explicit Unlocked(Index work) {
        if (work >= 1 << 14) emplace();
    }
};

// Calls f(T()) with T = float or double, as the array's dtype says, and without the GIL if there is that much `work`;
// TypeError for another dtype.
template <class F>
auto by_float(const char* function, const char* argument, const Array& x, F&& f, Index work = 0) {
    if (x.type != Type::f32 && x.type != Type::f64) bad_type(function, argument, "float32 or float64", x);
    const Unlocked unlocked(work);
    return x.type == Type::f32 ? f(float()) : f(double());
}
// In a binding with a pack of names, the type of each name's value.
template <class Name, class T>
using As = T;

// A gradient's function NAME_vjp(saved, g, needs): does argument i want one; and the list that it gives, of what was made,
// None where nothing was.
inline bool wanted(const py::tuple& needs, std::size_t i) { return i < needs.size() && PyObject_IsTrue(needs[i].ptr()); }
inline py::object or_none(const Array& x) { return x.owner ? x.owner : py::none(); }
py::list gradients(const py::tuple& needs, std::initializer_list<Array> made);

// Calls body(begin, end) on ranges of `grain` that together cover [0, size), without the GIL, the threads sharing them;
// less than two ranges of elements are one, on this thread. `each` counts the elements that a step of [0, size) stands for.
template <class Body>
void share(Index size, Index grain, const Body& body, Index each = 1) {
    const Unlocked unlocked(size * each);
    if (size * each < 2 * grain) return body(Index(0), size);
    parallel_ranges(size, (grain + each - 1) / each, body);
}

// What NumPy does in place of a kernel of this name: for dtypes that no kernel is written for. The NumPy backend is
// given by backends/cpp/__init__.py; `tinygrad-edu backends` tells which primitives take this way, and when.
py::object numpy(const char* primitive);

}  // namespace tg
