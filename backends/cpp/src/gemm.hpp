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

// The right operand of many products, laid out once as the kernel wants it (the weight of a recurrent layer, which every
// step multiplies by). The matrix itself is not needed afterwards. Several threads may multiply by it at once.
template <class T>
class PackedMatrix {
public:
    explicit PackedMatrix(Matrix<T> b);
    ~PackedMatrix() { release(data, bytes_); }
    PackedMatrix(const PackedMatrix&) = delete;
    PackedMatrix& operator=(const PackedMatrix&) = delete;

    const Index rows, columns;
    T* data;

private:
    std::size_t bytes_;
};

// c = a @ b for a packed b, threads over tiles; and the same on the calling thread alone.
template <class T>
void gemm_packed(Matrix<T> a, const PackedMatrix<T>& b, T* c, Index c_stride, Epilogue<T> epilogue = {});
template <class T>
void gemm_packed_serial(Matrix<T> a, const PackedMatrix<T>& b, T* c, Index c_stride, Epilogue<T> epilogue = {});

// Are so many multiplications too few for a second thread?
inline bool is_small(Index work) { return work < (1 << 19); }

// Calls product(i, serial) for each of `count` products of `work` multiplications, threads over all of them: a few large
// ones come one after the other, each to be spread over the threads itself; many are handed out whole (`serial`).
template <class Product>
void each_product(Index count, Index work, const Product& product) {
    const bool one_by_one = count < 2 * threads() && !is_small(work);
    if (one_by_one || is_small(count * work)) {
        for (Index i = 0; i < count; ++i) product(i, !one_by_one);
        return;
    }
    constexpr Index kWorth = 1 << 17;  // multiplications that a thread takes at once
    parallel_ranges(count, kWorth / (work + 1) + 1, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) product(i, true);
    });
}

}  // namespace tg
