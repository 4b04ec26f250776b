// The matrix product's face towards the other kernels. How it works is told in gemm.cpp.
#pragma once

#include "memory.hpp"
#include "pool.hpp"

namespace tg {

// A matrix in somebody's memory: element (i, j) is data[i * row_stride + j * column_stride]. A transposed operand is one
// whose strides are exchanged; nothing is copied for it.
template <class T>
struct Matrix {
    const T* data;
    Index rows, columns, row_stride, column_stride;
    Matrix transposed() const { return {data, columns, rows, column_stride, row_stride}; }
    const T* at(Index i, Index j) const { return data + i * row_stride + j * column_stride; }
    Matrix part(Index i, Index j, Index m, Index n) const { return {at(i, j), m, n, row_stride, column_stride}; }
};

enum class Activation { none, relu };

// What is done to a tile of the product while it is still in registers: c = activation(product + bias + keep * c).
template <class T>
struct Epilogue {
    const T* bias = nullptr;  // one number a column of c
    Activation activation = Activation::none;
    bool accumulate = false;  // add to what c holds
    bool plain() const { return !bias && !accumulate && activation == Activation::none; }
};

// Are so many multiplications too few for a second thread?
inline bool is_small(Index work) { return work < (1 << 19); }

// c = a @ b, threads over tiles unless `serial`; c is (a.rows, b.columns), its rows c_stride elements apart.
template <class T>
void gemm(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue = {}, bool serial = false);

// Writes up to `width` lines of `depth` elements, element (i, k) at from[i * line_stride + k * step], as a panel: element
// (i, k) at panel[k * width + i]. Lines are rows of a or columns of b; what stands in the panel for lines <= i < width does
// not matter. Up to a vector's length beyond the panel's end may be written to.
template <class T>
void pack_panel(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panel);

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// Writes one element, of column j.
template <class T>
inline void finish_one(T x, T* c, Index j, const Epilogue<T>& epilogue) {
    if (epilogue.accumulate) x += *c;
    if (epilogue.bias) x += epilogue.bias[j];
    *c = epilogue.activation == Activation::relu && x < 0 ? T(0) : x;  // a NaN stays one
}

// c = a @ b by sums along lines of both, where that is the best way: see gemm_thin.cpp. False if it is not.
template <class T>
bool multiply_lines(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial);

}  // namespace tg
