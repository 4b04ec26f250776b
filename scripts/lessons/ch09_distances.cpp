// Lesson 9.1's costly operation: the squared distances between all pairs of points, as a Python module.
//
//     out[i][j] = sum over k of (x[i][k] - y[j][k])^2          x: n points, y: m points, in d dimensions
//
// NumPy's broadcasting would make an array of n m d differences, another one of their squares, and then add these up:
// all of it goes out to memory and comes back. Here a sum stays in a register until it is complete.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace py = pybind11;
using Matrix = py::array_t<double, py::array::c_style>;  // float64, row after row

py::array_t<double> squared_distances(const Matrix& x, const Matrix& y) {
    if (x.ndim() != 2 || y.ndim() != 2 || x.shape(1) != y.shape(1))
        throw py::value_error("squared_distances: expected points (n, d) and (m, d)");
    const auto n = x.shape(0), m = y.shape(0), d = x.shape(1);
    py::array_t<double> out({n, m});
    const double *from_x = x.data(), *from_y = y.data();  // NumPy's own memory: nothing is copied
    double* to = out.mutable_data();
    py::gil_scoped_release release;  // no Python from here on: other Python threads may run
    for (py::ssize_t i = 0; i < n; ++i)
        for (py::ssize_t j = 0; j < m; ++j) {
            double sum = 0.0;
#pragma omp simd reduction(+ : sum)  // the order of additions does not matter to us: vector instructions, please
            for (py::ssize_t k = 0; k < d; ++k) {
                const double difference = from_x[i * d + k] - from_y[j * d + k];
                sum += difference * difference;
            }
            to[i * m + j] = sum;
        }
    return out;
}

PYBIND11_MODULE(ch09_distances, module) {
    // noconvert: an array of another dtype is refused, not copied behind our back
    module.def("squared_distances", &squared_distances, py::arg("x").noconvert(), py::arg("y").noconvert());
}
