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

constexpr int kPairs = kVectorBytes == 64 ? 16 : 8;  // sums that registers hold, each a vector

// The products of each of F lines of x with each of kPairs / F of y, summed: pairs[i * kPairs / F + j] is lines i and j's.
template <int F, class T>
void dots(Index depth, const T* const* x, const T* const* y, T* pairs) {
    constexpr int L = kLanes<T>, M = kPairs / F;
    Vec<T> sums[kPairs];
#pragma GCC unroll 16
    for (int s = 0; s < kPairs; ++s) sums[s] = Vec<T>{};
    const auto step = [&](auto&& number) __attribute__((always_inline)) {
        Vec<T> few[F];
#pragma GCC unroll 4
        for (int i = 0; i < F; ++i) few[i] = number(x[i]);
#pragma GCC unroll 16
        for (int j = 0; j < M; ++j) {
            const Vec<T> one = number(y[j]);
#pragma GCC unroll 4
            for (int i = 0; i < F; ++i) sums[i * M + j] += few[i] * one;
        }
    };
    Index k = 0;
    for (; k + L <= depth; k += L) step([k](const T* line) { return load(line + k); });
    if (k < depth) step([=](const T* line) { return load_first(line + k, depth - k, T(0)); });
#pragma GCC unroll 8
    for (int s = 0; s < kPairs; s += L) {
        Vec<T> group[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) group[i] = sums[s + i];
        store<T>(pairs + s, add_lanes<T>(group));
    }
}

// All pairs of a line of `few`, F at a time, and one of `many`, which are c's rows and columns, or its columns and rows.
template <int F, class T>
void all_pairs(const Matrix<T>& few, const Matrix<T>& many, bool few_rows, T* c, Index c_stride,
               const Epilogue<T>& epilogue, bool serial) {
    constexpr int M = kPairs / F;
    const Index depth = few.columns, grain = ((1 << 14) / depth / M + 1) * M;  // lines that a thread takes at a time
    serial = serial || is_small(4 / F * few.rows * many.rows * depth);         // the fewer they are, the more it is memory's work
    parallel_if(!serial, ceil_div(many.rows, grain), [&](Index part) {
        for (Index j = part * grain, end = std::min(j + grain, many.rows); j < end; j += M)
            for (Index i = 0; i < few.rows; i += F) {
                const T *x[F], *y[M];  // beyond the last line there is the last line again
                for (Index p = 0; p < F; ++p) x[p] = few.at(std::min(i + p, few.rows - 1), 0);
                for (Index q = 0; q < M; ++q) y[q] = many.at(std::min(j + q, many.rows - 1), 0);
                T sums[kPairs];
                dots<F>(depth, x, y, sums);
                for (Index p = 0; p < std::min<Index>(F, few.rows - i); ++p)
                    for (Index q = 0; q < std::min<Index>(M, end - j); ++q) {
                        const Index row = few_rows ? i + p : j + q, column = few_rows ? j + q : i + p;
                        finish_one(sums[p * M + q], c + row * c_stride + column, column, epilogue);
                    }
            }
    });
}

}  // namespace

template <class T>
bool multiply_lines(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    const Index depth = a.columns;
    // What sums along f lines cost (with as many vectors, adding up takes as long as a hundred more elements; lines that do
    // not lie in one piece are copied), and what tiles cost, some of whose lanes are idle.
    const auto worth = [&](bool contiguous, Index f, Index copies) {
        const Index pairs = f <= 2 ? f : ceil_div(f, 4) * 4;
        return contiguous && f <= 12 && pairs * (depth + 100) + copies * kLanes<T> < ceil_div(f, kLanes<T>) * kLanes<T> * depth;
    };
    const bool rows = worth(b.row_stride == 1, a.rows, a.column_stride == 1 ? 0 : a.rows * depth / b.columns);
    const bool columns = worth(a.column_stride == 1, b.columns, b.row_stride == 1 ? 0 : b.columns * depth / a.rows);
    if (depth < kLanes<T> || !(rows || columns)) return false;
    const bool few_rows = rows && (!columns || a.rows <= b.columns);
    Matrix<T> few = few_rows ? a : b.transposed(), many = few_rows ? b.transposed() : a;  // lines of both are rows now
    if (few.column_stride != 1) {
        T* const copy = scratch<T>(Slot::gemm_a, few.rows * depth);
        for (Index i = 0; i < few.rows; ++i)
            for (Index k = 0; k < depth; ++k) copy[i * depth + k] = *few.at(i, k);
        few = {copy, few.rows, depth, depth, 1};
    }
    const auto pairs = few.rows == 1 ? all_pairs<1, T> : few.rows == 2 ? all_pairs<2, T> : all_pairs<4, T>;
    pairs(few, many, few_rows, c, c_stride, epilogue, serial);
    return true;
}

template bool multiply_lines<float>(const Matrix<float>&, const Matrix<float>&, float*, Index, const Epilogue<float>&, bool);
template bool multiply_lines<double>(const Matrix<double>&, const Matrix<double>&, double*, Index, const Epilogue<double>&, bool);

}  // namespace tg
