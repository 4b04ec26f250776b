// Elementwise primitives: one number at a time, in plain loops that become vector instructions.
//
// How operands of different shapes meet is in broadcast.hpp, the functions themselves are in math.hpp; here is what each
// primitive does with one number or two, for which dtypes. Whatever is not listed (powers of float64, remainders, the
// smaller integers) goes to NumPy, whose loops for it are good enough.

#include "broadcast.hpp"
#include "math.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

using py::handle;
constexpr Index kLight = 1 << 14, kHeavy = 1 << 11;  // elements that a thread takes: of sums; of exp and its kin

// ---- One operand.

// f(x, a number of x's dtype) for floats; NumPy's function for what else there is.
template <class F>
py::object by_dtype(const char* name, handle object, const F& f) {
    const Array x = view(name, "x", object);
    if (x.type == Type::f32) return f(x, float());
    if (x.type == Type::f64) return f(x, double());
    return numpy(name)(object);
}

template <class F>
py::object unary(const char* name, handle object, Index grain, F f) {
    return by_dtype(name, object, [=](const Array& x, auto t) { return combine(Shape(x), grain, f, In<decltype(t)>{x}); });
}

// A function of math.hpp that is right up to turn_limit, and the C library's for what lies beyond.
template <class F, class Slow>
py::object periodic(const char* name, handle object, F f, Slow slow) {
    return by_dtype(name, object, [=](const Array& x, auto t) {
        using T = decltype(t);
        const Array out = empty_like(x);
        walk(Grid(Shape(x), {&x}), kHeavy, [=, to = out.at<T>()](Index first, Index n, const Piece* p) {
            const T* const in = p->at<T>();
            const Index step = !p->one;
            loop(Types<T>(), p, to + first, n, f);
            int far = 0;
            for (Index i = 0; i <= step * (n - 1); ++i) far |= std::fabs(in[i]) > turn_limit;
            for (Index i = 0; far && i < n; ++i)
                if (std::fabs(in[i * step]) > turn_limit) to[first + i] = slow(in[i * step]);
        });
        return out.owner;
    });
}

py::object cast(handle object, handle dtype) {
    const Array x = view("cast", "x", object);
    const Type to = type_from(dtype);
    const auto between = [&](auto t, auto r, auto number) {  // `number`: what an element stands for
        const auto converted = [=](auto a) { return decltype(r)(number(a)); };
        return combine(Shape(x), kLight, converted, In<decltype(t)>{x});
    };
    const auto itself = [](auto a) { return a; };
    const auto from = [&](auto r) -> py::object {
        if (x.type == Type::f32) return between(float(), r, itself);
        if (x.type == Type::f64) return between(double(), r, itself);
        if (x.type == Type::i64) return between(std::int64_t(), r, itself);
        if (x.type == Type::u8) return between(std::uint8_t(), r, itself);
        if (x.type == Type::boolean) return between(std::uint8_t(), r, [](auto a) { return a != 0; });  // any byte but 0
        return numpy("cast")(object, dtype);
    };
    if (to == Type::f32) return from(float());
    if (to == Type::f64) return from(double());
    if (to == Type::boolean) return from(bool());
    if (to == Type::i64 && x.type == to) return between(std::int64_t(), std::int64_t(), itself);
    return numpy("cast")(object, dtype);  // to integers: what a number without place becomes is the compiler's affair
}

// ---- Two operands, one of which may be a Python number.

struct Operand : Array {
    alignas(8) char number[8];  // where `data` points if it is a Python number
};

// A Python number becomes an element of that dtype; false if NumPy would choose another dtype for the result, or complain.
bool put_number(handle x, Type type, Operand& to) {
    const bool integer = PyLong_CheckExact(x.ptr());
    if (!integer && !PyFloat_CheckExact(x.ptr())) return false;
    const auto put = [&](auto value) {
        std::memcpy(to.number, &value, sizeof value);
        to.data = to.number, to.type = type;
        return true;
    };
    if (type == Type::i64) {
        int overflow = 1;
        const std::int64_t value = integer ? PyLong_AsLongAndOverflow(x.ptr(), &overflow) : 0;
        return put(value) && overflow == 0;
    }
    const double value = PyFloat_AsDouble(x.ptr());
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return type == Type::f32 ? put(static_cast<float>(value)) : type == Type::f64 && put(value);
}

struct Pair {
    Operand x, y;
    Shape shape;
    Type type = Type::other;  // of both, if their shapes fit

    Pair(const char* name, handle a, handle b) {
        const bool arrays[] = {is_array(a), is_array(b)};
        if (arrays[0]) static_cast<Array&>(x) = view(name, "an operand", a);
        if (arrays[1]) static_cast<Array&>(y) = view(name, "an operand", b);
        if (!arrays[0] && !put_number(a, y.type, x)) return;
        if (!arrays[1] && !put_number(b, x.type, y)) return;
        if (x.type == y.type && shape.meet(x) && shape.meet(y)) type = x.type;
    }
};

// Numbers of int64 are calculated with as Int, unsigned where they wrap around as NumPy's do; nullptr: there is no kernel.
template <class Int, class F>
py::object binary(const char* name, Int, handle a, handle b, F f) {
    const Pair pair(name, a, b);
    const auto with = [&](auto t) {
        return combine(pair.shape, kLight, f, In<decltype(t)>{pair.x}, In<decltype(t)>{pair.y});
    };
    if (pair.type == Type::f32) return with(float());
    if (pair.type == Type::f64) return with(double());
    if constexpr (std::is_integral_v<Int>)
        if (pair.type == Type::i64) return with(Int());
    return numpy(name)(a, b);
}

// |x|^y by double numbers: their 53 bits leave a float's 24 right even where y log x is large. Then C's special cases.
inline float power_of(float a, float b) {
    const double x = a, y = b, size = exp_(y * log_(std::fabs(x)));
    const double half = y * 0.5, limited = between(-0x1p30, y, 0x1p30);  // 2^30 and beyond: even
    const auto whole = [](double v) { return (v + Ieee<double>::magic) - Ieee<double>::magic == v; };
    const bool integer = whole(limited), odd = integer & !whole(between(-0x1p29, half, 0x1p29));
    double out = ((bit_cast<std::uint64_t>(x) >> 63 != 0) & odd) ? -size : size;
    out = (x < 0) & !integer & (x > -infinity<double>) & (size == size) ? std::numeric_limits<double>::quiet_NaN() : out;
    out = (x == -1) & (std::fabs(y) == infinity<double>) ? 1 : out;
    return static_cast<float>((x == 1) | (y == 0) ? 1 : out);
}

py::object pow(handle a, handle b) {
    const Pair pair("pow", a, b);
    const bool single = pair.type == Type::f32;
    if ((single || pair.type == Type::f64) && pair.y.size() == 1) {
        const auto simpler = [&](auto f) { return binary("pow", nullptr, a, b, f); };
        const double power = single ? *pair.y.at<float>() : *pair.y.at<double>();
        if (power == 2) return simpler([](auto x, auto) { return x * x; });
        if (power == 3) return simpler([](auto x, auto) { return x * x * x; });
        if (power == -1) return simpler([](auto x, auto) { return 1 / x; });
        if (power == 0.5) return simpler([](auto x, auto) { return std::sqrt(x); });  // NaN at -inf, as in NumPy and torch
    }
    if (!single) return numpy("pow")(a, b);
    return combine(pair.shape, kHeavy, [](float x, float y) { return power_of(x, y); }, In<float>{pair.x}, In<float>{pair.y});
}

py::object where(handle condition, handle a, handle b) {
    Pair pair("where", a, b);
    const Array c = view("where", "the condition", condition);
    if (pair.type == Type::other || c.type != Type::boolean || !pair.shape.meet(c)) return numpy("where")(condition, a, b);
    const Array out = empty(pair.type, pair.shape.dims, pair.shape.sizes);
    by_size(item_size(pair.type), [&](auto u) {
        using U = decltype(u);
        const auto choice = [](std::uint8_t chosen, U x, U y) { return chosen ? x : y; };
        evaluate(pair.shape, out.at<U>(), kLight, choice, In<std::uint8_t>{c}, In<U>{pair.x}, In<U>{pair.y});
    });
    return out.owner;
}

}  // namespace

void bind_elementwise(py::module_& module) {
    const auto one = [&](const char* name, Index grain, auto f) {
        module.def(name, [=](handle x) { return unary(name, x, grain, f); }, py::arg("x"));
    };
    one("exp", kHeavy, [](auto a) { return exp_(a); });
    one("expm1", kHeavy, [](auto a) { return expm1_(a); });
    one("log", kHeavy, [](auto a) { return log_(a); });
    one("log1p", kHeavy, [](auto a) { return log1p_(a); });
    one("tanh", kHeavy, [](auto a) { return tanh_(a); });
    one("erf", kHeavy, [](auto a) { return erf_(a); });
    one("sqrt", kLight, [](auto a) { return std::sqrt(a); });
    one("floor", kLight, [](auto a) { return std::floor(a); });
    const auto wave = [&](const char* name, auto f, auto slow) {
        module.def(name, [=](handle x) { return periodic(name, x, f, slow); }, py::arg("x"));
    };
    wave("sin", [](auto a) { return sin_(a); }, [](auto a) { return std::sin(a); });
    wave("cos", [](auto a) { return cos_(a); }, [](auto a) { return std::cos(a); });
    const auto two = [&](const char* name, auto integer, auto f) {
        module.def(name, [=](handle x, handle y) { return binary(name, integer, x, y, f); }, py::arg("x"), py::arg("y"));
    };
    two("add", std::uint64_t(), [](auto a, auto b) { return a + b; });
    two("sub", std::uint64_t(), [](auto a, auto b) { return a - b; });
    two("mul", std::uint64_t(), [](auto a, auto b) { return a * b; });
    two("div", nullptr, [](auto a, auto b) { return a / b; });
    two("maximum", std::int64_t(), [](auto a, auto b) { return (a > b) | (a != a) ? a : b; });  // NaN if either is
    two("less", std::int64_t(), [](auto a, auto b) { return a < b; });
    two("equal", std::int64_t(), [](auto a, auto b) { return a == b; });
    module.def("pow", &pow, py::arg("x"), py::arg("y"));
    module.def("where", &where, py::arg("condition"), py::arg("x"), py::arg("y"));
    module.def("cast", &cast, py::arg("x"), py::arg("dtype"));
}

}  // namespace tg
