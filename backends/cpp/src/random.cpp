// Uniform random numbers: Philox4x64-10, bit for bit what NumPy's generator of that name gives.
//
// A counter-based generator is a function from a counter and a key to random bits: ten rounds of multiplying, exchanging
// and adding, after which no trace of the counter is left. There is no state to be handed from number to number, so
// threads share the counters. NumPy counts before it draws: the first four words are those of counter 1.
// Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.

#include "subjects.hpp"

namespace tg {
namespace {

using Word = std::uint64_t;
constexpr Index kCounters = 1 << 11;  // that a thread takes at a time

void philox(Word counter, Word key0, Word key1, Word* out) {
    constexpr Word m0 = 0xD2E7470EE14C6C93, m1 = 0xCA5A826395121157;  // multipliers, chosen by search for good mixing
    constexpr Word w0 = 0x9E3779B97F4A7C15, w1 = 0xBB67AE8584CAA73B;  // golden ratio and sqrt(3) - 1, added to the key
    Word x0 = counter, x1 = 0, x2 = 0, x3 = 0;
    for (int round = 0; round < 10; ++round, key0 += w0, key1 += w1) {
        const auto p0 = static_cast<unsigned __int128>(m0) * x0, p1 = static_cast<unsigned __int128>(m1) * x2;
        x0 = static_cast<Word>(p1 >> 64) ^ x1 ^ key0;
        x2 = static_cast<Word>(p0 >> 64) ^ x3 ^ key1;
        x1 = static_cast<Word>(p1);
        x3 = static_cast<Word>(p0);
    }
    out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
}

// Four words are four doubles, of 53 bits each, or eight floats, of 24: the upper bits of a word or of half a word.
template <class T>
void fill(Word key0, Word key1, T* out, Index size) {
    using Bits = std::conditional_t<sizeof(T) == 8, Word, std::uint32_t>;
    constexpr int digits = std::numeric_limits<T>::digits;
    constexpr Index each = 32 / sizeof(T);
    share((size + each - 1) / each, kCounters, [=](Index begin, Index end) {
        for (Index c = begin; c < end; ++c) {
            Word words[4];
            Bits bits[each];
            philox(static_cast<Word>(c) + 1, key0, key1, words);
            std::memcpy(bits, words, sizeof words);  // the lower half first
            for (Index i = 0; i < std::min(each, size - c * each); ++i)
                out[c * each + i] = static_cast<T>(bits[i] >> (8 * sizeof(T) - digits)) / static_cast<T>(Word(1) << digits);
        }
    });
}

py::object random(const py::array_t<Word>& key, const py::tuple& shape, py::handle dtype) {
    if (key.ndim() != 1 || key.size() != 2)
        throw py::value_error("random: expected a key of shape (2,), got " +
                              shape_text(static_cast<int>(key.ndim()), key.shape()));
    Index sizes[kMaxDims];
    const int dims = static_cast<int>(shape.size());
    if (dims > kMaxDims) throw py::value_error("random: expected at most 64 dimensions, got " + std::to_string(dims));
    for (int d = 0; d < dims; ++d) sizes[d] = shape[static_cast<std::size_t>(d)].cast<Index>();
    Word words[2];
    for (int i : {0, 1}) std::memcpy(&words[i], key.data(i), sizeof(Word));  // NumPy's numbers may lie anywhere
    const Array out = empty(type_from(dtype), dims, sizes);
    by_float("random", "the result", out, [&](auto t) { fill(words[0], words[1], out.at<decltype(t)>(), out.size()); });
    return out.owner;
}

}  // namespace

void bind_random(py::module_& module) {
    module.def("random", &random, py::arg("key").noconvert(), py::arg("shape"), py::arg("dtype"));
}

}  // namespace tg
