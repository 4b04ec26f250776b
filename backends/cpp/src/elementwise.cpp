// Elementwise primitives: one number at a time, in plain loops that become vector instructions.
//
// How operands of different shapes meet is in broadcast.hpp, the functions themselves are in math.hpp; here is what each
// primitive does with one number or two, for which dtypes. Whatever is not listed (powers of float64, remainders, the
// smaller integers) goes to NumPy, whose loops for it are good enough.

#include <cstdint>

#include "broadcast.hpp"
#include "math.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kLight = 1 << 16, kHeavy = 1 << 13;  // elements from which threads share: of sums; of exp and its kin

template <class T>
constexpr Type type_of = std::is_same_v<T, float>          ? Type::f32
                         : std::is_same_v<T, double>       ? Type::f64
                         : std::is_same_v<T, std::int64_t> ? Type::i64
                                                           : Type::boolean;

// ---- Loops over one piece.

template <class T, class R, class F>
void loop(const T* x, R* __restrict out, Index n, F f) {
    for (Index i = 0; i < n; ++i) out[i] = f(x[i]);
}
template <class T, class R, class F>
void loop(Piece a, Piece b, R* __restrict out, Index n, F f) {
    const T *x = a.at<T>(), *y = b.at<T>();
    if (a.one && b.one) {
        std::fill(out, out + n, f(*x, *y));
    } else if (b.one) {
        const T number = *y;
        for (Index i = 0; i < n; ++i) out[i] = f(x[i], number);
    } else if (a.one) {
        const T number = *x;
        for (Index i = 0; i < n; ++i) out[i] = f(number, y[i]);
    } else {
        for (Index i = 0; i < n; ++i) out[i] = f(x[i], y[i]);
    }
}

// ---- One operand.

template <class T, class R, class Body>
py::object map(const Array& x, Index serial, const Body& body) {
    const Operand operand(x, sizeof(T));
    const Operand* operands[] = {&operand};
    const Array out = empty(type_of<R>, x.dims, x.shape);
    const Grid<1> grid(x.dims, x.shape, operands);
    walk(grid, operands, serial, [&](Index first, Index n, const Piece* p) {
        R* to = out.at<R>() + first;
        body(p[0].at<T>(), to, p[0].one ? 1 : n);
        if (p[0].one) std::fill(to + 1, to + n, *to);
    });
    return out.owner;
}

template <class F>
py::object unary(const char* name, py::handle object, Index serial, F f) {
    const Array x = view(name, "x", object);
    if (x.type == Type::f32)
        return map<float, float>(x, serial, [&](const float* in, float* out, Index n) { loop(in, out, n, f); });
    if (x.type == Type::f64)
        return map<double, double>(x, serial, [&](const double* in, double* out, Index n) { loop(in, out, n, f); });
    return numpy(name)(object);
}

// A function of math.hpp that is right up to turn_limit, and the C library's for what lies beyond.
template <class F, class Slow>
py::object periodic(const char* name, py::handle object, F f, Slow slow) {
    const Array x = view(name, "x", object);
    const auto body = [&](const auto* in, auto* out, Index n) {
        loop(in, out, n, f);
        int far = 0;
        for (Index i = 0; i < n; ++i) far |= std::fabs(in[i]) > turn_limit;
        for (Index i = 0; far && i < n; ++i)
            if (std::fabs(in[i]) > turn_limit) out[i] = slow(in[i]);
    };
    if (x.type == Type::f32) return map<float, float>(x, kHeavy, body);
    if (x.type == Type::f64) return map<double, double>(x, kHeavy, body);
    return numpy(name)(object);
}

// ---- Two operands, one of which may be a Python number.

// A number as an element of that dtype; false if NumPy would choose another dtype for the result, or complain.
bool put_number(py::handle x, Type type, Operand& to) {
    if (!PyFloat_CheckExact(x.ptr()) && !PyLong_CheckExact(x.ptr())) return false;
    to.data = to.number;
    to.item = item_size(type);
    if (type == Type::i64) {
        int overflow = 0;
        const std::int64_t value = PyLong_CheckExact(x.ptr()) ? PyLong_AsLongAndOverflow(x.ptr(), &overflow) : (overflow = 1);
        std::memcpy(to.number, &value, 8);
        return overflow == 0;
    }
    if (type != Type::f32 && type != Type::f64) return false;
    const double value = PyFloat_AsDouble(x.ptr());
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    const float single = static_cast<float>(value);
    if (type == Type::f32)
        std::memcpy(to.number, &single, 4);
    else
        std::memcpy(to.number, &value, 8);
    return true;
}

// Two operands of one dtype, with the arrays kept alive. `usable` is false where that is not what came.
struct Pair {
    Array arrays[2];
    Operand operands[2];
    Type type = Type::other;
    bool usable = false;

    Pair(const char* name, py::handle x, py::handle y) {
        const py::handle both[] = {x, y};
        bool is[2];
        for (int k = 0; k < 2; ++k) {
            is[k] = is_array(both[k]);
            if (!is[k]) continue;
            arrays[k] = view(name, "an operand", both[k]);
            if (type != Type::other && arrays[k].type != type) return;
            type = arrays[k].type;
            if (type == Type::other) return;
        }
        if (type == Type::other) return;
        for (int k = 0; k < 2; ++k) {
            if (is[k])
                operands[k] = Operand(arrays[k], item_size(type));
            else if (!put_number(both[k], type, operands[k]))
                return;
        }
        usable = true;
    }
};

template <class T, class F>
py::object combine(const char* name, py::handle x, py::handle y, const Pair& pair, Index serial, F f) {
    using R = decltype(f(T(), T()));
    const Operand* operands[] = {&pair.operands[0], &pair.operands[1]};
    int dims;
    Index shape[kMaxDims];
    if (!broadcast_shape<2>(operands, dims, shape)) return numpy(name)(x, y);
    const Array out = empty(type_of<R>, dims, shape);
    const Grid<2> grid(dims, shape, operands);
    walk(grid, operands, serial,
         [&](Index first, Index n, const Piece* p) { loop<T>(p[0], p[1], out.at<R>() + first, n, f); });
    return out.owner;
}

enum Kinds { floats, numbers };
template <Kinds kinds, class F>
py::object binary(const char* name, py::handle x, py::handle y, F f) {
    const Pair pair(name, x, y);
    if (pair.usable && pair.type == Type::f32) return combine<float>(name, x, y, pair, kLight, f);
    if (pair.usable && pair.type == Type::f64) return combine<double>(name, x, y, pair, kLight, f);
    if constexpr (kinds == numbers)
        if (pair.usable && pair.type == Type::i64) return combine<std::int64_t>(name, x, y, pair, kLight, f);
    return numpy(name)(x, y);
}

// Integers wrap around: as unsigned numbers they may.
template <class T, class F>
inline T wrapping(T a, T b, F f) {
    if constexpr (std::is_integral_v<T>)
        return static_cast<T>(f(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
    else
        return f(a, b);
}

template <class T>
inline T larger(T a, T b) {
    return (a > b) | (a != a) ? a : b;  // NaN if either is
}

// |x|^y by double numbers: their 53 bits leave a float's 24 right even where y log x is large. Then C's special cases.
inline float power_of(float a, float b) {
    const double x = a, y = b, size = exp_(y * log_(std::fabs(x)));
    const double half = y * 0.5, limited = between(-0x1p30, y, 0x1p30);  // 2^30 and beyond: even
    const auto whole = [](double v) { return (v + Ieee<double>::magic) - Ieee<double>::magic == v; };
    const bool integer = whole(limited), odd = integer & !whole(between(-0x1p29, half, 0x1p29));
    double out = ((bits_of(x) >> 63 != 0) & odd) ? -size : size;
    out = (x < 0) & !integer & (x > -infinity<double>) & (size == size) ? std::numeric_limits<double>::quiet_NaN() : out;
    out = (x == -1) & (std::fabs(y) == infinity<double>) ? 1 : out;
    return static_cast<float>((x == 1) | (y == 0) ? 1 : out);
}

py::object pow(py::handle x, py::handle y) {
    const Pair pair("pow", x, y);
    if (!pair.usable || pair.type == Type::i64) return numpy("pow")(x, y);
    const Operand& exponent = pair.operands[1];
    if (!is_array(y) || pair.arrays[1].size() == 1) {
        const double power = pair.type == Type::f32 ? *reinterpret_cast<const float*>(exponent.data)
                                                    : *reinterpret_cast<const double*>(exponent.data);
        if (power == 2) return binary<floats>("pow", x, y, [](auto a, auto) { return a * a; });
        if (power == 3) return binary<floats>("pow", x, y, [](auto a, auto) { return a * a * a; });
        if (power == -1) return binary<floats>("pow", x, y, [](auto a, auto) { return 1 / a; });
        if (power == 0.5)  // in NumPy and torch the root, NaN at -inf, though C's pow is inf there
            return binary<floats>("pow", x, y, [](auto a, auto) { return std::sqrt(a); });
    }
    if (pair.type == Type::f32) return combine<float>("pow", x, y, pair, kHeavy, [](float a, float b) { return power_of(a, b); });
    return numpy("pow")(x, y);
}

// ---- Choice, and change of dtype.

template <class U>
void choose(const Piece* p, U* __restrict out, Index n) {
    const std::uint8_t* c = p[0].at<std::uint8_t>();
    const U *x = p[1].at<U>(), *y = p[2].at<U>();
    if (p[0].one) {
        const Piece& chosen = *c ? p[1] : p[2];
        if (chosen.one)
            std::fill(out, out + n, *chosen.at<U>());
        else
            std::copy(chosen.at<U>(), chosen.at<U>() + n, out);
    } else if (p[1].one && p[2].one) {
        const U a = *x, b = *y;
        for (Index i = 0; i < n; ++i) out[i] = c[i] ? a : b;
    } else if (p[1].one) {
        const U a = *x;
        for (Index i = 0; i < n; ++i) out[i] = c[i] ? a : y[i];
    } else if (p[2].one) {
        const U b = *y;
        for (Index i = 0; i < n; ++i) out[i] = c[i] ? x[i] : b;
    } else {
        for (Index i = 0; i < n; ++i) out[i] = c[i] ? x[i] : y[i];
    }
}

py::object where(py::handle condition, py::handle x, py::handle y) {
    const Pair pair("where", x, y);
    const Array c = view("where", "the condition", condition);
    const Operand mask(c, 1);
    const Operand* operands[] = {&mask, &pair.operands[0], &pair.operands[1]};
    int dims;
    Index shape[kMaxDims];
    if (!pair.usable || c.type != Type::boolean || !broadcast_shape<3>(operands, dims, shape))
        return numpy("where")(condition, x, y);
    const Array out = empty(pair.type, dims, shape);
    const Grid<3> grid(dims, shape, operands);
    const int item = item_size(pair.type);
    walk(grid, operands, kLight, [&](Index first, Index n, const Piece* p) {
        if (item == 1) choose(p, out.at<std::uint8_t>() + first, n);
        if (item == 4) choose(p, out.at<std::uint32_t>() + first, n);
        if (item == 8) choose(p, out.at<std::uint64_t>() + first, n);
    });
    return out.owner;
}

// Bits as they are: by the size of an element alone.
template <class U>
void copy_as(const Array& x, const Array& out) {
    const Operand operand(x, sizeof(U));
    const Operand* operands[] = {&operand};
    const Grid<1> grid(x.dims, x.shape, operands);
    walk(grid, operands, kLight, [&](Index first, Index n, const Piece* p) {
        U* to = out.at<U>() + first;
        if (p[0].one)
            std::fill(to, to + n, *p[0].at<U>());
        else
            std::copy(p[0].at<U>(), p[0].at<U>() + n, to);
    });
}

template <class T, class R>
py::object convert(const Array& x) {
    return map<T, R>(x, kLight, [](const T* in, R* out, Index n) {
        loop(in, out, n, [](T a) {
            if constexpr (std::is_same_v<T, std::uint8_t>)
                return R(a != 0);
            else if constexpr (std::is_same_v<R, bool>)
                return a != 0;
            else
                return R(a);
        });
    });
}

py::object cast(py::handle object, py::handle dtype) {
    const Array x = view("cast", "x", object);
    const Type to = type_from(dtype);
    if (x.type == to && to != Type::other) {
        const Array out = empty_like(x);
        const int item = item_size(x.type);
        if (item == 1) copy_as<std::uint8_t>(x, out);
        if (item == 4) copy_as<std::uint32_t>(x, out);
        if (item == 8) copy_as<std::uint64_t>(x, out);
        return out.owner;
    }
    const auto from = [&](auto r) -> py::object {
        using R = decltype(r);
        if (x.type == Type::f32) return convert<float, R>(x);
        if (x.type == Type::f64) return convert<double, R>(x);
        if (x.type == Type::i64) return convert<std::int64_t, R>(x);
        if (x.type == Type::boolean) return convert<std::uint8_t, R>(x);
        return numpy("cast")(object, dtype);
    };
    if (to == Type::f32) return from(float());
    if (to == Type::f64) return from(double());
    if (to == Type::boolean) return from(bool());
    return numpy("cast")(object, dtype);  // to integers: what a number without place becomes is the compiler's affair
}

}  // namespace

void bind_elementwise(py::module_& module) {
    using py::handle;
    const auto one = [&](const char* name, auto f) { module.def(name, f, py::arg("x")); };
    one("exp", [](handle x) { return unary("exp", x, kHeavy, [](auto a) { return exp_(a); }); });
    one("expm1", [](handle x) { return unary("expm1", x, kHeavy, [](auto a) { return expm1_(a); }); });
    one("log", [](handle x) { return unary("log", x, kHeavy, [](auto a) { return log_(a); }); });
    one("log1p", [](handle x) { return unary("log1p", x, kHeavy, [](auto a) { return log1p_(a); }); });
    one("tanh", [](handle x) { return unary("tanh", x, kHeavy, [](auto a) { return tanh_(a); }); });
    one("erf", [](handle x) { return unary("erf", x, kHeavy, [](auto a) { return erf_(a); }); });
    one("sqrt", [](handle x) { return unary("sqrt", x, kLight, [](auto a) { return std::sqrt(a); }); });
    one("floor", [](handle x) { return unary("floor", x, kLight, [](auto a) { return std::floor(a); }); });
    one("sin", [](handle x) {
        return periodic("sin", x, [](auto a) { return sin_(a); }, [](auto a) { return std::sin(a); });
    });
    one("cos", [](handle x) {
        return periodic("cos", x, [](auto a) { return cos_(a); }, [](auto a) { return std::cos(a); });
    });
    const auto two = [&](const char* name, auto f) { module.def(name, f, py::arg("x"), py::arg("y")); };
    two("add", [](handle x, handle y) {
        return binary<numbers>("add", x, y, [](auto a, auto b) { return wrapping(a, b, [](auto p, auto q) { return p + q; }); });
    });
    two("sub", [](handle x, handle y) {
        return binary<numbers>("sub", x, y, [](auto a, auto b) { return wrapping(a, b, [](auto p, auto q) { return p - q; }); });
    });
    two("mul", [](handle x, handle y) {
        return binary<numbers>("mul", x, y, [](auto a, auto b) { return wrapping(a, b, [](auto p, auto q) { return p * q; }); });
    });
    two("div", [](handle x, handle y) { return binary<floats>("div", x, y, [](auto a, auto b) { return a / b; }); });
    two("maximum", [](handle x, handle y) { return binary<numbers>("maximum", x, y, [](auto a, auto b) { return larger(a, b); }); });
    two("less", [](handle x, handle y) { return binary<numbers>("less", x, y, [](auto a, auto b) { return a < b; }); });
    two("equal", [](handle x, handle y) { return binary<numbers>("equal", x, y, [](auto a, auto b) { return a == b; }); });
    two("pow", &pow);
    module.def("where", &where, py::arg("condition"), py::arg("x"), py::arg("y"));
    module.def("cast", &cast, py::arg("x"), py::arg("dtype"));
}

}  // namespace tg
