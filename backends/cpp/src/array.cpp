// Views of NumPy arrays, and new ones: see array.hpp.

#include "memory.hpp"
#include "subjects.hpp"

// tracemalloc's own functions under their C names: Python.h forgets to say extern "C" for them.
extern "C" {
int tracemalloc_track(unsigned domain, std::uintptr_t block, std::size_t bytes) asm("PyTraceMalloc_Track");
int tracemalloc_untrack(unsigned domain, std::uintptr_t block) asm("PyTraceMalloc_Untrack");
}

namespace tg {
namespace {

using py::detail::npy_api;

constexpr Index kStored = 1 << 14;  // bytes from which an array's memory comes from our store: NumPy keeps small ones itself
constexpr unsigned kNumpyDomain = 389047;  // where tracemalloc counts NumPy's memory: np.lib.tracemalloc_domain

struct Kind {
    int number;  // NumPy's
    const char* name;
    int size;    // bytes of an element
};
constexpr Kind kKinds[] = {{npy_api::NPY_FLOAT_, "float32", 4}, {npy_api::NPY_DOUBLE_, "float64", 8},
                           {npy_api::NPY_LONG_, "int64", 8},    {npy_api::NPY_INT_, "int32", 4},
                           {npy_api::NPY_UBYTE_, "uint8", 1},   {npy_api::NPY_BOOL_, "bool", 1},
                           {-1, "another dtype", 1}};  // in the order of Type
const Kind& kind(Type type) { return kKinds[static_cast<int>(type)]; }

Type type_of(const PyObject* dtype) {
    const auto* descr = reinterpret_cast<const py::detail::PyArrayDescr_Proxy*>(dtype);
    const int number = descr->type_num == npy_api::NPY_LONGLONG_ ? int(npy_api::NPY_LONG_) : descr->type_num;
    int i = 0;
    while (i < static_cast<int>(Type::other) && kKinds[i].number != number) ++i;
    return descr->byteorder == '>' ? Type::other : static_cast<Type>(i);
}

Array of(py::object owner) {
    const auto* x = py::detail::array_proxy(owner.ptr());
    const bool contiguous = (x->flags & npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0;
    return {std::move(owner), x->data, x->nd, x->dimensions, x->strides, type_of(x->descr), contiguous};
}

Array copy_of(py::handle array) {
    py::object copy = py::reinterpret_steal<py::object>(PyObject_CallMethod(array.ptr(), "copy", "s", "C"));
    if (!copy) throw py::error_already_set();
    return of(std::move(copy));
}

void forget(PyObject* capsule) {
    void* block = PyCapsule_GetPointer(capsule, nullptr);
    tracemalloc_untrack(kNumpyDomain, reinterpret_cast<std::uintptr_t>(block));
    release(block, reinterpret_cast<std::size_t>(PyCapsule_GetContext(capsule)));
}

py::object& numpy_backend() {
    static auto* const backend = new py::object;  // never destroyed: Python may be gone by then
    return *backend;
}

}  // namespace

bool is_array(py::handle object) {
    return PyObject_TypeCheck(object.ptr(), npy_api::get().PyArray_Type_);
}

Array view(const char* function, const char* argument, py::handle object) {
    if (!is_array(object))
        throw py::type_error(std::string(function) + ": expected " + argument + " to be a NumPy array, got " +
                             Py_TYPE(object.ptr())->tp_name);
    const bool aligned = py::detail::check_flags(object.ptr(), npy_api::NPY_ARRAY_ALIGNED_);
    return aligned ? of(py::reinterpret_borrow<py::object>(object)) : copy_of(object);
}

Array dense(const char* function, const char* argument, py::handle object) {
    Array x = view(function, argument, object);
    return x.contiguous ? x : copy_of(x.owner);
}

Array dense(const char* function, const char* argument, py::handle object, Type type, std::initializer_list<Index> shape) {
    Array x = dense(function, argument, object);
    if (x.type != type) bad_type(function, argument, name(type), x);
    bool fits = x.dims == static_cast<int>(shape.size());
    for (int i = 0; fits && i < x.dims; ++i) fits = shape.begin()[i] < 0 || shape.begin()[i] == x.shape[i];
    if (!fits) bad_shape(function, argument, shape_text(static_cast<int>(shape.size()), shape.begin()), x);
    return x;
}

Array optional(const char* function, const char* argument, py::handle object, Type type, std::initializer_list<Index> shape) {
    return object.is_none() ? Array() : dense(function, argument, object, type, shape);
}

void check_like(const char* function, const char* argument, const Array& y, const Array& x) {
    if (y.type != x.type) bad_type(function, argument, name(x.type), y);
    if (y.dims != x.dims || !std::equal(x.shape, x.shape + x.dims, y.shape))
        bad_shape(function, argument, shape_text(x.dims, x.shape), y);
}

Array like(const char* function, const char* argument, py::handle object, const Array& x) {
    Array y = dense(function, argument, object);
    check_like(function, argument, y, x);
    return y;
}

py::list gradients(const py::tuple& needs, std::initializer_list<Array> made) {
    py::list all;
    for (std::size_t i = 0; i < needs.size(); ++i) all.append(or_none(i < made.size() ? made.begin()[i] : Array()));
    return all;
}

Target target(const char* function, const char* argument, py::handle object, Type type, Index size) {
    Array x = dense(function, argument, object);
    if (x.type != type) bad_type(function, argument, name(type), x);
    if (x.size() != size) bad_shape(function, argument, std::to_string(size) + " elements", x);
    if (!py::detail::check_flags(object.ptr(), npy_api::NPY_ARRAY_WRITEABLE_))
        throw py::value_error(std::string(function) + ": expected " + argument + " to be writable, it is read-only");
    const bool direct = x.owner.is(object);
    return {std::move(x), direct ? py::object() : py::reinterpret_borrow<py::object>(object)};
}

void Target::finish() const {
    if (original && PyObject_SetItem(original.ptr(), Py_Ellipsis, array.owner.ptr()) != 0) throw py::error_already_set();
}

Array empty(Type type, int dims, const Index* shape) {
    Index bytes = item_size(type);
    for (int i = 0; i < dims; ++i) bytes *= shape[i];
    auto& api = npy_api::get();
    py::object base;
    void* block = nullptr;
    if (bytes >= kStored) {
        block = acquire(static_cast<std::size_t>(bytes));
        base = py::reinterpret_steal<py::object>(PyCapsule_New(block, nullptr, forget));
        PyCapsule_SetContext(base.ptr(), reinterpret_cast<void*>(bytes));
        tracemalloc_track(kNumpyDomain, reinterpret_cast<std::uintptr_t>(block), static_cast<std::size_t>(bytes));
    }
    const int flags = block ? npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_WRITEABLE_ | npy_api::NPY_ARRAY_ALIGNED_ : 0;
    py::object made = py::reinterpret_steal<py::object>(
        api.PyArray_NewFromDescr_(api.PyArray_Type_, api.PyArray_DescrFromType_(kind(type).number), dims, shape, nullptr,
                                  block, flags, nullptr));
    if (!made) throw py::error_already_set();
    if (block) api.PyArray_SetBaseObject_(made.ptr(), base.release().ptr());
    return of(std::move(made));
}

int item_size(Type type) { return kind(type).size; }
const char* name(Type type) { return kind(type).name; }

Type type_from(py::handle dtype) {
    return py::isinstance<py::dtype>(dtype) ? type_of(dtype.ptr()) : Type::other;
}

std::string shape_text(int dims, const Index* shape) {
    std::string text = "(";
    for (int i = 0; i < dims; ++i)
        text += (i ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
    return text + (dims == 1 ? ",)" : ")");
}

void bad_type(const char* function, const char* argument, const char* expected, const Array& got) {
    throw py::type_error(std::string(function) + ": expected " + argument + " of " + expected + ", got " +
                         std::string(py::str(got.owner.attr("dtype"))));
}

void bad_shape(const char* function, const char* argument, const std::string& expected, const Array& got) {
    throw py::value_error(std::string(function) + ": expected " + argument + " of shape " + expected + ", got " +
                          shape_text(got.dims, got.shape));
}

py::object numpy(const char* primitive) { return numpy_backend().attr(primitive); }

void bind_arrays(py::module_& module) {
    module.def("set_numpy", [](py::object backend) { numpy_backend() = std::move(backend); }, py::arg("backend"),
               "Take what no kernel is written for from this backend.");
    module.def("threads", &threads, "How many threads take part in a kernel.");
    const auto set = [](int count) {
        if (count < 1) throw py::value_error("set_threads: expected a positive number, got " + std::to_string(count));
        set_threads(count);
    };
    module.def("set_threads", set, py::arg("count"), "Let so many threads take part in a kernel.");
}

}  // namespace tg
