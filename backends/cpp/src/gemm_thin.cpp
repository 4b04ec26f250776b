// Thin products: a few rows times a matrix that lies column by column, or a matrix of rows times a few columns.
//
// Where both operands lie contiguous along the inner dimension k, as in x @ weight.T, an element of c is the sum of the
// products of two contiguous lines. Tiles want one of the operands across, sixteen lines' numbers side by side: turning a
// matrix for it pays if each number is used many times, and not if the other operand has a handful of lines. So here
// vectors lie *along* k: some lines of both operands meet, as many pairs as a vector has lanes, each with a vector of
// partial sums; in the end these vectors are added up to one, which holds the sum of each pair.

#include <algorithm>

#include "gemm.hpp"
#include "vec.hpp"

namespace tg {
namespace {

template <class T>
constexpr int kMany = kLanes<T> < 4 ? kLanes<T> : 4;  // lines of the large operand that are worked on together,
template <class T>
constexpr int kFew = kLanes<T> / kMany<T>;            // and of the small one
constexpr Index kLong = 24, kVeryLong = 128;          // worth it from such a length on; with more than 6 lines

// The products of each line of x with each of y, summed: sum i * kMany + j is that of lines i and j.
template <class T>
Vec<T> dots(Index depth, const T* const* x, const T* const* y, Index ahead) {
    constexpr int L = kLanes<T>, F = kFew<T>, M = kMany<T>;
    Vec<T> sums[L];
#pragma GCC unroll 16
    for (int s = 0; s < L; ++s) sums[s] = Vec<T>{};
    const auto step = [&](auto&& number) __attribute__((always_inline)) {
        Vec<T> few[F];
#pragma GCC unroll 4
        for (int i = 0; i < F; ++i) few[i] = number(x[i]);
#pragma GCC unroll 4
        for (int j = 0; j < M; ++j) {
            const Vec<T> one = number(y[j]);
#pragma GCC unroll 4
            for (int i = 0; i < F; ++i) sums[i * M + j] += few[i] * one;
        }
    };
    Index k = 0;
    for (; k + L <= depth; k += L) {
#pragma GCC unroll 4
        for (int j = 0; j < M; ++j) __builtin_prefetch(y[j] + k + ahead);
        step([k](const T* line) { return load(line + k); });
    }
    if (k < depth) step([=](const T* line) { return load_first(line + k, depth - k, T(0)); });
    return add_lanes<T>(sums);
}

}  // namespace

template <class T>
bool multiply_lines(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    const Index depth = a.columns;
    // Up to 12 rows. Of columns, so many as leave a quarter of their tile's lanes idle: sums along lines cost as much.
    const bool rows = b.row_stride == 1 && a.rows <= 12;
    const bool columns = a.column_stride == 1 && b.columns <= 12 && 4 * b.columns <= 3 * kLanes<T> * ceil_div(b.columns, kLanes<T>);
    if (depth < kLong || depth < kLanes<T> || !(rows || columns)) return false;
    if (depth < kVeryLong && std::min(a.rows, b.columns) > 6) return false;
    const bool few_rows = rows && (!columns || a.rows <= b.columns);
    Matrix<T> few = few_rows ? a : b.transposed(), many = few_rows ? b.transposed() : a;  // lines of both are rows now
    if (few.column_stride != 1) {
        T* const copy = scratch<T>(Slot::gemm_a, few.rows * depth);
        for (Index i = 0; i < few.rows; ++i)
            for (Index k = 0; k < depth; ++k) copy[i * depth + k] = *few.at(i, k);
        few = {copy, few.rows, depth, depth, 1};
    }
    const Index ahead = depth > 1024 ? 8 * kLanes<T> : kMany<T> * many.row_stride;  // what to fetch meanwhile
    const Index grain = ((1 << 16) / depth + 1) * kMany<T>;                         // lines that a thread takes at a time
    parallel_if(!serial, ceil_div(many.rows, grain), [&](Index part) {
        for (Index j = part * grain, end = std::min(j + grain, many.rows); j < end; j += kMany<T>)
            for (Index i = 0; i < few.rows; i += kFew<T>) {
                const T *x[kFew<T>], *y[kMany<T>];  // beyond the last line there is the last line again
                for (Index p = 0; p < kFew<T>; ++p) x[p] = few.at(std::min(i + p, few.rows - 1), 0);
                for (Index q = 0; q < kMany<T>; ++q) y[q] = many.at(std::min(j + q, many.rows - 1), 0);
                const Vec<T> sums = dots<T>(depth, x, y, ahead);
                for (Index p = 0; p < std::min<Index>(kFew<T>, few.rows - i); ++p)
                    for (Index q = 0; q < std::min<Index>(kMany<T>, end - j); ++q) {
                        const Index row = few_rows ? i + p : j + q, column = few_rows ? j + q : i + p;
                        finish_one(sums[p * kMany<T> + q], c + row * c_stride + column, column, epilogue);
                    }
            }
    });
    return true;
}

template bool multiply_lines<float>(const Matrix<float>&, const Matrix<float>&, float*, Index, const Epilogue<float>&, bool);
template bool multiply_lines<double>(const Matrix<double>&, const Matrix<double>&, double*, Index, const Epilogue<double>&, bool);

}  // namespace tg
