// The matrix product's face towards the other kernels. How it works is told in gemm.cpp.
#pragma once

#include "pool.hpp"

namespace tg {

// A matrix in somebody's memory: element (i, j) is data[i * row_stride + j * column_stride]. A transposed operand is one
// whose strides are exchanged; nothing is copied for it.
template <class T>
struct Matrix {
    const T* data;
    Index rows, columns, row_stride, column_stride;
    Matrix transposed() const { return {data, columns, rows, column_stride, row_stride}; }
};

enum class Activation { none, relu };

// What is done to a tile of the product while it is still in registers: c = activation(product + bias + keep * c).
template <class T>
struct Epilogue {
    const T* bias = nullptr;    // one number a column of c
    Activation activation = Activation::none;
    bool accumulate = false;    // add to what c holds
};

// c = a @ b, threads over tiles; c is (a.rows, b.columns), its rows c_stride elements apart.
template <class T>
void gemm(Matrix<T> a, Matrix<T> b, T* c, Index c_stride, Epilogue<T> epilogue = {});
// The same on the calling thread alone: for kernels that have spread their work already.
template <class T>
void gemm_serial(Matrix<T> a, Matrix<T> b, T* c, Index c_stride, Epilogue<T> epilogue = {});

}  // namespace tg
