// Elementary functions that the compiler turns into vector instructions.
//
// The C library's exp takes one number at a time, and asks: is it large, is it NaN, is it denormal? A loop that calls it
// cannot be vectorised. The functions below have neither branches nor tables: every number takes the same path, and a
// special case is a choice between two finished values (`condition ? a : b`, which is one blend instruction). So a plain
// loop over them, `for (i...) out[i] = exp_(x[i])`, becomes 4, 8 or 16 at a time, on whatever instruction set the file
// is compiled for, SSE2 included (hence no 64-bit comparisons, no arithmetic 64-bit shifts, no rounding instruction).
//
// All of them must be inlined into the loop that is to be vectorised, whatever else the compiler has inlined so far: hence
// always_inline.
//
// Three devices recur.
//   * Reduction. exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2; log(2^k m) = k log 2 + log m;
//     sin(x) = ±sin(r) or ±cos(r) with |r| <= pi/4. What n is multiplied with is split into parts, the first with so many
//     zeros at its end that the product has no rounding error (W. Cody and W. Waite 1980).
//   * A polynomial in r, in Horner's form. The coefficients are our own: the minimax fit of Remez's algorithm, calculated
//     with 50 digits, one degree more than needed for an error far below half a unit in the last place (ulp).
//   * Bits. An IEEE number is sign, exponent + bias, mantissa. Adding 1.5 * 2^mantissa rounds to an integer, which is then
//     found in the lowest bits; an integer shifted by the width of the mantissa is a power of two.
//
// Errors, by tests/backends/test_cpp_math.py, which tries every float: at most 2 ulp; NaN, infinities, -0 and denormals
// as in C. The formula of log and log1p is that of Sun's fdlibm (s = f / (2 + f)); a polynomial for -log(erfc(x)) is an
// idea of N. Juffa.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

// A loop that calls what is not inlined is not vectorised: so this is no hint but an order.
#define TG_INLINE [[gnu::always_inline]] inline

namespace tg {

// The IEEE 754 formats, and ln 2 and pi/2 in parts: the first ones' products with any n that occurs are exact.
template <class T>
struct Ieee;
template <>
struct Ieee<float> {
    using Bits = std::uint32_t;
    static constexpr int mantissa = 23;
    static constexpr Bits bias = 127, exponent_0 = 0x3f800000, sqrt_half = 0x3f3504f3, magic_bits = 0x4b400000;
    static constexpr float magic = 0x1.8p23f, ln2_hi = 0x1.62e4p-1f, ln2_lo = 0x1.7f7d1cp-20f;
};
template <>
struct Ieee<double> {
    using Bits = std::uint64_t;
    static constexpr int mantissa = 52;
    static constexpr Bits bias = 1023, exponent_0 = 0x3ff0000000000000, sqrt_half = 0x3fe6a09e667f3bcd,
                          magic_bits = 0x4338000000000000;
    static constexpr double magic = 0x1.8p52, ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;
};
template <class T>
constexpr bool is_float = std::is_same_v<T, float>;
template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();

// The bits of a number as an integer, or back. (A union or a cast of pointers would be undefined behaviour.)
template <class To, class From>
TG_INLINE To bit_cast(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}

// c0 + c1 x + c2 x^2 + ...
template <class T, class... More>
TG_INLINE T horner(T x, T c, More... more) {
    if constexpr (sizeof...(more) > 0) return c + x * horner<T>(x, T(more)...);
    else return c;
}

// What exp and its kin have in common: x = n ln 2 + r, and exp(r) = 1 + r + tail. `bits` holds n: n + magic_bits.
template <class T>
struct Power {
    T r, tail;
    T lost;  // what rounding took from r: it matters where 1 is subtracted in the end
    typename Ieee<T>::Bits bits;
};
template <class T>
TG_INLINE Power<T> power(T x) {
    using F = Ieee<T>;
    const T shifted = x * T(0x1.71547652b82fep+0) + F::magic;  // x / ln 2, rounded
    const T n = shifted - F::magic;
    const T high = x - n * F::ln2_hi, r = high - n * F::ln2_lo;
    T q;  // (exp(r) - 1 - r) / r^2
    if constexpr (is_float<T>)
        q = horner<T>(r, 0.5000000027, 0.1666657697, 0.04166637514, 0.008363181219, 0.001394112391);
    else
        q = horner<T>(r, 0.500000000000000102, 0.166666666666666745, 0.0416666666666241238, 0.0083333333333222065,
                      0.0013888888917215392, 0.000198412698865930422, 0.0000248015212937423045, 2.75572423347089223e-6,
                      2.76200893628506145e-7, 2.51100505407917273e-8);
    return {r, r * r * q, (high - r) - n * F::ln2_lo, bit_cast<typename F::Bits>(shifted)};
}

// x within limits; a NaN stays.
template <class T>
TG_INLINE T between(T low, T x, T high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

template <class T>
TG_INLINE T exp_(T x) {
    using F = Ieee<T>;
    const auto p = power(is_float<T> ? between<T>(-104, x, 89) : between<T>(-746, x, 710));
    // 2^n in two factors: n can be too large or too small for a normal number when the result is not, or just barely.
    const auto u = p.bits - F::magic_bits + 2 * F::bias, half = u >> 1;
    return (1 + (p.r + p.tail)) * bit_cast<T>(half << F::mantissa) * bit_cast<T>((u - half) << F::mantissa);
}

// exp(x) for |x| <= 87, or 708 for doubles, where 2^n is a normal number.
template <class T>
TG_INLINE T exp_moderate(T x) {
    using F = Ieee<T>;
    const auto p = power(x);
    const T scale = bit_cast<T>((p.bits - F::magic_bits + F::bias) << F::mantissa);
    return scale + scale * (p.r + p.tail);
}

// 2^n (exp(r) - 1) + (2^n - 1), calculated as twice its half: 2^n itself may overflow before the result does.
template <class T>
TG_INLINE T expm1_(T x) {
    using F = Ieee<T>;
    const auto p = power(is_float<T> ? between<T>(-18, x, 89) : between<T>(-38, x, 710));
    const T half = bit_cast<T>((p.bits - F::magic_bits + (F::bias - 1)) << F::mantissa);
    const T y = 2 * (half * (p.r + (p.tail + p.lost)) + (half - T(0.5)));
    return std::fabs(x) < T(1e-30) ? x : y;  // the sign of 0, and the last bit of a denormal number
}

template <class T>
TG_INLINE T sigmoid_(T x) {
    return 1 / (1 + exp_(-x));
}

// Near 0: x plus x^3 times a polynomial in x^2. Elsewhere 1 - 2 / (exp(2x) + 1), which is 1 to the last bit from the limit on.
template <class T>
TG_INLINE T tanh_(T x) {
    const T size = std::fabs(x), limit = is_float<T> ? 10 : 20, z = x * x;
    T p;
    if constexpr (is_float<T>)
        p = horner<T>(z, -0.3333332925, 0.1333279455, -0.05385407011, 0.02101008265, -0.006113192934);
    else
        p = horner<T>(z, -0.33333333333333333, 0.133333333333330586, -0.0539682539679143452, 0.0218694885196996993,
                      -0.00886323511737239512, 0.00359212191969087687, -0.00145577666531737374, 0.000589666643628134216,
                      -0.000237609016953037201, 0.0000926061601174141023, -0.000031238791693919842, 6.5026919930102858e-6);
    const T far = 1 - 2 / (exp_moderate(2 * (size > limit ? limit : size)) + 1);
    return std::copysign(size < T(0.625) ? size + size * (z * p) : far, x);
}

// log(2^k (1 + f) + correction), for 1 + f between sqrt(1/2) and sqrt(2).
template <class T>
TG_INLINE T log_of(T k, T f, T correction) {
    using F = Ieee<T>;
    const T s = f / (2 + f), z = s * s, half = T(0.5) * f * f;
    T p;  // log(1 + f) = 2 atanh(s) = 2 s + s z p
    if constexpr (is_float<T>)
        p = horner<T>(z, 0.6666668527, 0.3998871657, 0.2958215095);
    else
        p = horner<T>(z, 0.666666666666666973, 0.399999999998984445, 0.285714286263993938, 0.222222110728170183,
                      0.181828932203300586, 0.153315969117361875, 0.146178732225208728);
    return k * F::ln2_hi - ((half - (s * (half + z * p) + (k * F::ln2_lo + correction))) - f);
}

// x = 2^k (1 + f), for a normal x.
template <class T>
struct Split {
    T k, f;
};
template <class T>
TG_INLINE Split<T> split(T x) {
    using F = Ieee<T>;
    constexpr typename F::Bits one = typename F::Bits(1) << F::mantissa;
    const auto u = bit_cast<typename F::Bits>(x) + (F::exponent_0 - F::sqrt_half);  // the exponent changes at sqrt(1/2) 2^k
    const T k = bit_cast<T>((u >> F::mantissa) | ((F::bias + F::mantissa) << F::mantissa)) - T(one + F::bias);
    return {k, bit_cast<T>((u & (one - 1)) + F::sqrt_half) - 1};
}

// What a logarithm is where the formula does not hold: `x` where the number is infinite or NaN.
template <class T>
TG_INLINE T log_special(T number, T x, T y) {
    y = number < infinity<T> ? y : x;
    y = number == 0 ? -infinity<T> : y;
    return number < 0 ? std::numeric_limits<T>::quiet_NaN() : y;
}

template <class T>
TG_INLINE T log_(T x) {
    const bool denormal = x < std::numeric_limits<T>::min();
    const Split<T> s = split(denormal ? x * T(0x1p54) : x);
    return log_special(x, x, log_of(denormal ? s.k - 54 : s.k, s.f, T(0)));
}

// log(u + e) with u = 1 + x rounded and e the rounding's error, found exactly (O. Møller, D. Knuth): log(u) + e / u.
template <class T>
TG_INLINE T log1p_(T x) {
    const T u = 1 + x, rest = u - 1;
    const T error = (1 - (u - rest)) + (x - rest);
    const Split<T> s = split(u);
    const T y = s.k == 0 ? log_of<T>(0, x, 0) : log_of(s.k, s.f, error / u);
    return std::fabs(x) < T(1e-30) ? x : log_special(u, x, y);
}

constexpr double turn_limit = 1e6;
// sin(x + ahead pi/2) with x = n pi/2 + r and |r| <= pi/4: sin(r) in even quadrants, n + ahead modulo 4, cos(r) in odd ones,
// and negative in the second half of the turn. For |x| <= turn_limit only: far out, neighbouring numbers are whole turns
// apart, and the reduction would need more digits of pi than there are here. floats are reduced in double.
template <class T>
TG_INLINE T wave(T x, int ahead) {
    using F = Ieee<double>;
    using Bits = typename Ieee<T>::Bits;
    const double shifted = double(x) * 0x1.45f306dc9c883p-1 + F::magic, n = shifted - F::magic;
    double reduced = double(x) - n * 0x1.921fb544p+0;
    if constexpr (is_float<T>)
        reduced -= n * 0x1.0b4611a626331p-34;
    else
        reduced = ((reduced - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2ep-69) - n * 0x1.b839a252049c1p-104;
    const Bits quadrant = static_cast<Bits>(bit_cast<F::Bits>(shifted)) + static_cast<Bits>(ahead);
    const T r = T(reduced), z = r * r;
    T s, c;  // (sin(r) / r - 1) / z and (cos(r) - 1 + z / 2) / z^2
    if constexpr (is_float<T>) {
        s = horner<T>(z, -0.1666666467, 0.008332748882, -0.0001958798371);
        c = horner<T>(z, 0.04166666466, -0.001388830353, 2.454801533e-5);
    } else {
        s = horner<T>(z, -0.166666666666666646, 0.00833333333333094917, -0.000198412698367592086, 2.75573161027234622e-6,
                      -2.50511318550384045e-8, 1.59181285419180586e-10);
        c = horner<T>(z, 0.0416666666666666654, -0.00138888888888873975, 0.0000248015872987659151,
                      -2.75573172717597986e-7, 2.08761462604198298e-9, -1.13826310298307463e-11);
    }
    const Bits sine = bit_cast<Bits>(r + r * z * s), cosine = bit_cast<Bits>(1 + (z * z * c - T(0.5) * z));
    const Bits odd = Bits(0) - (quadrant & 1);  // all bits, or none: a choice that needs no comparison of integers
    return bit_cast<T>(((cosine & odd) | (sine & ~odd)) ^ ((quadrant & 2) << (8 * sizeof(T) - 2)));
}
template <class T>
TG_INLINE T sin_(T x) {
    return std::fabs(x) < T(1e-30) ? x : wave(x, 0);
}
template <class T>
TG_INLINE T cos_(T x) {
    return wave(x, 1);
}

// Below 1: x plus x times a polynomial in x^2 (the sum of both is more exact than a product with 1.128... would be).
// Above: 1 - exp(-p(x)), with p fitted to -log(erfc(x)).
template <class T>
TG_INLINE T erf_(T x) {
    const T limit = is_float<T> ? 4 : 6, size = std::fabs(x), z = x * x, t = size > limit ? limit : size;
    T near, far;
    if constexpr (is_float<T>) {
        near = horner<T>(z, 0.1283791657, -0.3761262582, 0.1128358515, -0.02685381199, 0.005188327729, -0.0008010193659,
                         7.853860632e-5);
        far = horner<T>(t, -0.0001884674083, 1.129580309, 0.633216402, 0.1084220936, -0.02521033583, 0.004205283252,
                        -0.0004414723429, 2.169758772e-5);
    } else {
        near = horner<T>(z, 0.128379167095512574, -0.376126389031837476, 0.112837916709548575, -0.0268661706450728957,
                         0.00522397762478087459, -0.000854832697874263246, 0.000120553310369137944,
                         -0.0000149255935071906622, 1.64609728211846726e-6, -1.63500252600550962e-7,
                         1.46578800519936597e-8, -1.13656666245677019e-9, 5.94526264075395537e-11);
        far = horner<T>(t, 2.3266546702791457e-8, 1.12837895502940648, 0.636620583675589146, 0.102771140180050601,
                        -0.0191284370934957111, -0.000202171592509909484, 0.00167540722098532031, -0.000553366270976975188,
                        -0.0000207958171209134169, 0.000109768159472948365, -0.0000641250035116113854,
                        0.0000239736664764516244, -6.66925884740308355e-6, 1.43624452129196826e-6, -2.40635390891036207e-7,
                        3.09240644455334667e-8, -2.95110344482042268e-9, 1.97159666601958415e-10, -8.22938065194642406e-12,
                        1.61436321571848529e-13);
    }
    return size < 1 ? x + x * near : std::copysign(1 - exp_moderate(-far), x);
}

}  // namespace tg
