// Thin products: a few rows times a matrix that lies column by column, or a matrix of rows times a few columns.
//
// Where both operands lie contiguous along the inner dimension k, as in x @ weight.T, an element of c is the sum of the
// products of two contiguous lines. Tiles want one of the operands across, sixteen lines' numbers side by side: turning a
// matrix for it pays if each number is used many times, and not if the other operand has a handful of lines. So here
// vectors lie *along* k, each holding sixteen partial sums of one element, which are added up at the very end.

#include "gemm_core.hpp"

namespace tg {
namespace {

constexpr int kOthers = 4;                             // lines of the large operand that are worked on together
constexpr int kLines = kVectorBytes == 64 ? 6 : 2;     // of the small one: so that lines x others sums stay in registers
constexpr Index kLong = 24;                            // worth it from such a length on

template <class T>
using Integer = std::conditional_t<sizeof(T) == 4, int, long>;

// Two vectors' halves, interleaved and added: the partial sums of both in one vector.
template <class T>
[[gnu::always_inline]] inline Vec<T> merge(Vec<T> a, Vec<T> b) {
    constexpr int L = kLanes<T>;
    Vec<Integer<T>> low, high;
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) low[i] = i / 2 + i % 2 * L, high[i] = low[i] + L / 2;
    return __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
}

// Folds a vector of partial sums, its number i belonging to sum i % 4, until four numbers are left.
template <class T, int Half>
[[gnu::always_inline]] inline Vec<T> fold(Vec<T> x) {
    constexpr int L = kLanes<T>;
    if constexpr (Half < kOthers) {
        return x;
    } else {
        Vec<Integer<T>> turned;
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) turned[i] = (i + Half) % L;
        return fold<T, Half / 2>(x + __builtin_shuffle(x, turned));
    }
}

// The sums of four vectors' numbers.
template <class T>
[[gnu::always_inline]] inline void add_up(Vec<T> a, Vec<T> b, Vec<T> c, Vec<T> d, T* sums) {
    if constexpr (kLanes<T> < kOthers) {
        const Vec<T> all[] = {a, b, c, d};
        for (int i = 0; i < kOthers; ++i) sums[i] = all[i][0] + all[i][1];
    } else {
        const Vec<T> x = fold<T, kLanes<T> / 2>(merge<T>(merge<T>(a, c), merge<T>(b, d)));
        std::memcpy(sums, &x, kOthers * sizeof(T));
    }
}

// Products, summed, of R lines with kOthers others; depth >= a vector's length.
template <class T, int R>
void dots(Index depth, const T* line, Index apart, const T* const (&others)[kOthers], Index ahead, T (*sums)[kOthers]) {
    constexpr int L = kLanes<T>;
    Vec<T> partial[R][kOthers];
#pragma GCC unroll 6
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < kOthers; ++j) partial[i][j] = Vec<T>{};
    const auto step = [&](auto&& number) __attribute__((always_inline)) {
        Vec<T> x[R];
#pragma GCC unroll 6
        for (int i = 0; i < R; ++i) x[i] = number(line + i * apart);
#pragma GCC unroll 4
        for (int j = 0; j < kOthers; ++j) {
            const Vec<T> y = number(others[j]);
#pragma GCC unroll 6
            for (int i = 0; i < R; ++i) partial[i][j] += x[i] * y;
        }
    };
    for (Index k = 0; k + L <= depth; k += L) {
#pragma GCC unroll 4
        for (int j = 0; j < kOthers; ++j) __builtin_prefetch(others[j] + k + ahead);
        step([k](const T* of) { return load(of + k); });
    }
    if (const Index counted = L - depth % L; counted < L) {
        // The last full vector, with zeros for what has been counted already (not 0 times it: 0 * inf is NaN).
        Vec<Integer<T>> fresh;
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) fresh[i] = i;
        fresh = fresh >= static_cast<Integer<T>>(counted);
        step([=](const T* of) { return reinterpret_cast<Vec<T>>(reinterpret_cast<Vec<Integer<T>>>(load(of + depth - L)) & fresh); });
    }
#pragma GCC unroll 6
    for (int i = 0; i < R; ++i) add_up<T>(partial[i][0], partial[i][1], partial[i][2], partial[i][3], sums[i]);
}

template <class T, int R = kLines>
void dots_of(Index lines, Index depth, const T* line, Index apart, const T* const (&others)[kOthers], Index ahead,
             T (*sums)[kOthers]) {
    if constexpr (R > 1)
        if (lines < R) return dots_of<T, R - 1>(lines, depth, line, apart, others, ahead, sums);
    dots<T, R>(depth, line, apart, others, ahead, sums);
}

}  // namespace

template <class T>
bool multiply_lines(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    const Index depth = a.columns;
    // Up to 12 rows. Of columns, so many as leave a quarter of their tile's lanes idle: sums along lines cost as much.
    const bool rows = b.row_stride == 1 && a.rows <= 12;
    const bool columns = a.column_stride == 1 && b.columns <= 12 && 4 * b.columns <= 3 * kLanes<T> * ceil_div(b.columns, kLanes<T>);
    if (depth < std::max<Index>(kLong, kLanes<T>) || (depth < 128 && std::min(a.rows, b.columns) > 6) || !(rows || columns)) return false;
    const bool few_rows = rows && (!columns || a.rows <= b.columns);
    Matrix<T> few = few_rows ? a : b.transposed(), many = few_rows ? b.transposed() : a;  // lines of both are rows now
    if (few.column_stride != 1) {
        T* const copy = scratch<T>(Slot::gemm_a, few.rows * depth);
        for (Index i = 0; i < few.rows; ++i)
            for (Index k = 0; k < depth; ++k) copy[i * depth + k] = few.data[i * few.row_stride + k * few.column_stride];
        few = {copy, few.rows, depth, depth, 1};
    }
    const Index most = ceil_div(few.rows, ceil_div(few.rows, kLines));  // 8 lines are 4 and 4
    const bool plain = !epilogue.accumulate && !epilogue.bias && epilogue.activation == Activation::none;
    const Index line_stride = few_rows ? c_stride : 1, other_stride = few_rows ? 1 : c_stride;
    const Index ahead = depth > 1024 ? 8 * kLanes<T> : kOthers * many.row_stride;  // what to fetch meanwhile
    const auto part = [&](Index begin, Index end) {
        for (Index j = begin; j < end; j += kOthers) {
            const Index count = std::min<Index>(kOthers, end - j);
            const T* others[kOthers];
            for (Index o = 0; o < kOthers; ++o) others[o] = many.data + (j + std::min(o, count - 1)) * many.row_stride;
            for (Index i = 0; i < few.rows; i += most) {
                const Index lines = std::min(most, few.rows - i);
                T sums[kLines][kOthers];
                dots_of<T>(lines, depth, few.data + i * few.row_stride, few.row_stride, others, ahead, sums);
                for (Index p = 0; p < lines; ++p)
                    for (Index o = 0; o < count; ++o) {
                        if (plain) {
                            c[(i + p) * line_stride + (j + o) * other_stride] = sums[p][o];
                            continue;
                        }
                        const Index row = few_rows ? i + p : j + o, column = few_rows ? j + o : i + p;
                        finish_one(sums[p][o], c + row * c_stride + column, column, epilogue);
                    }
            }
        }
    };
    const Index grain = ((1 << 16) / depth + 1) * kOthers;
    if (serial)
        part(0, many.rows);
    else
        parallel_ranges(many.rows, grain, part);
    return true;
}

template bool multiply_lines<float>(const Matrix<float>&, const Matrix<float>&, float*, Index, const Epilogue<float>&, bool);
template bool multiply_lines<double>(const Matrix<double>&, const Matrix<double>&, double*, Index, const Epilogue<double>&,
                                     bool);

}  // namespace tg
