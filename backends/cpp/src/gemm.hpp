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

// The right operand of many products, laid out once as the kernel wants it (the weight of a recurrent layer, which every
// step multiplies by). The matrix itself is not needed afterwards. Several threads may multiply by it at once.
template <class T>
class PackedMatrix {
public:
    explicit PackedMatrix(const Matrix<T>& b);
    ~PackedMatrix() { release(data_, bytes_); }
    PackedMatrix(const PackedMatrix&) = delete;
    PackedMatrix& operator=(const PackedMatrix&) = delete;
    // c = a @ this
    void multiply(const Matrix<T>& a, T* c, Index c_stride, const Epilogue<T>& epilogue = {}, bool serial = false) const;

    const Index rows, columns;

private:
    std::size_t bytes_;
    T* data_;
};

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
