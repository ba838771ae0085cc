// Which tokens of a draw can come, told from a copy of the unembedding in 8 bits.
//
// A row of the unembedding is w, its copy v; an input is x, and what the copy is multiplied by y. Their products as
// computed are p, from w and x, and q, from v and y. How far can p and q be apart? Let s be a row's `norms`, the root
// of the sum over its columns of their scale squared; C the columns and |.| the Euclidean norm.
//
//     |w - v| <= 0.51 s            to the nearest multiple of a scale; 0.51 for a half and the rounding of the quotient
//     |v| <= 127 s                 no whole number is larger
//     |x - y| <= 0.51 sqrt(C) m / 16256 =: d       m the largest magnitude of x, in the same way
//     |p - w x| <= g(C + 2) |w| |x|                any sum of C products, in any order, fused or not: each term is
//                                                  rounded at most C + 1 times; g(n) = n 2^-24 / (1 - n 2^-24)
//     |q - v y| <= g(S + 5) |v| |y|                S sums of chunks, exact, are converted, scaled and added in order
//
// By the inequality of Cauchy and Schwarz |w x - v y| <= |w - v| |x| + |v| |x - y|, so that
//
//     |p - q| <= s (0.51 |x| + 127 d + 128 g(C + 2) |x| + 127 g(S + 5) (|x| + d)) =: s a
//
// Besides, a weight whose chunk has nothing from 2^-100 on counts as 0 in the copy, which is off by sqrt(C) |x| 2^-100
// at most, and products may be too small for float32, by 2^-149 each: both are in `rest`. A row with s |x| near the end
// of float32 might overflow, and one with a weight that is no number has s NaN: nothing is known about either.
//
// So low <= p <= high with low and high rounded to float32 from q - r and q + r: rounding keeps the order of numbers,
// and p is a float32. Whatever a draw does to a logit, add a bias, divide by the temperature, add noise, does so too,
// because each is one rounded operation that never falls where its input rises. Therefore score(low) <= score(p) <=
// score(high) to the bit, and a token whose score(high) is less than the largest score(low) of all scores less than
// some other token: it is not drawn. The others are read whole, and among them the draw is what it was among all.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "arguments.h"
#include "context.h"
#include "draws.h"
#include "int8.h"

namespace ossia {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// |p - q| <= slope * norm + rest for rows with a norm up to `most`. What is known of an input that is not finite, or so
// small that its copy is 0, is nothing: `most` is below any norm.
struct Bound {
  float slope = 0.f, rest = 0.f, most = -1.f;
};

double rounding(int64_t times) {
  const double sum = static_cast<double>(times) * 0x1p-24;
  return sum / (1 - sum);
}

Bound bound_of(const float* x, int64_t columns) {
  double squares = 0, largest = 0;
  for (int64_t i = 0; i < columns; ++i) {
    const double value = std::abs(static_cast<double>(x[i]));
    squares += value * value;
    largest = std::max(largest, value);
  }
  if (!std::isfinite(squares) || largest < kInt8Smallest) return {};
  const double norm = std::sqrt(squares), root = std::sqrt(static_cast<double>(columns));
  const double lost = 0.51 * root * largest / kActivationLargest;
  const double slope = 0.51 * norm + 127 * lost + 128 * rounding(columns + 2) * norm +
                       127 * rounding(Int8Shape{columns}.chunks() + 5) * (norm + lost);
  // A hundred-thousandth covers the rounding of all that is computed here and of the radius.
  return {static_cast<float>(slope * 1.00001), static_cast<float>(0x1p-99 * (1 + root * norm)),
          static_cast<float>(0x1p80 / (1 + norm))};
}

// Of row `r` of a panel.
float norm_of(const char* panel, int64_t r, const Int8Shape& shape) {
  double squares = 0;
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    const double scale = scale_at(panel, c, r);
    squares += static_cast<double>(shape.columns_of(c)) * scale * scale;
  }
  return static_cast<float>(std::sqrt(squares) * (1 + 0x1p-20));
}

// One call: row after row, each in slices.
class Screening {
 public:
  Screening(ossia_context* context, const float* logits, const float* norms, int64_t vocabulary, const ossia_draw& draw)
      : pool_(context->pool),
        kernels_(context->kernels),
        logits_(logits),
        norms_(norms),
        vocabulary_(vocabulary),
        slices_(divide_up(vocabulary, kSlice)),
        draw_(draw) {}

  // False when there is no memory.
  bool prepare(Scratch& scratch) {
    if (!scratch.reserve(room<float>(vocabulary_) + room<Candidate>(slices_))) return false;
    scores_ = scratch.take<float>(vocabulary_);
    best_ = scratch.take<Candidate>(slices_);
    return true;
  }

  // Adds to `wanted` the tokens that may be drawn for a row.
  void add(int64_t index, const Bound& bound, uint32_t* wanted) {
    const Row row = row_of(draw_, index, scores_);
    pool_.run(slices_, [&](int64_t slice, int) {
      place(index, slice, bound, -1.f);
      kernels_.sample_best(row, slice * kSlice, end_of(slice), &best_[slice]);
    });
    float least = -kInfinity;
    for (int64_t slice = 0; slice < slices_; ++slice) least = std::max(least, best_[slice].score);
    pool_.run(slices_, [&](int64_t slice, int) {
      place(index, slice, bound, 1.f);
      kernels_.sample_reaching(row, slice * kSlice, end_of(slice), least, wanted);
    });
  }

 private:
  int64_t end_of(int64_t slice) const { return std::min((slice + 1) * kSlice, vocabulary_); }

  // The scores of a slice at the lower (side -1) or upper end (1) of their logits.
  void place(int64_t index, int64_t slice, const Bound& bound, float side) {
    const float* logits = logits_ + index * vocabulary_;
    const int64_t first = slice * kSlice, end = end_of(slice);
    for (int64_t i = first; i < end; ++i) {
      const float radius = bound.slope * norms_[i] + bound.rest;
      scores_[i] = norms_[i] <= bound.most ? logits[i] + side * radius : side * kInfinity;
    }
    if (is_biased(draw_, index)) add_biases(draw_, index, first, end, scores_);
  }

  Pool& pool_;
  const Kernels& kernels_;
  const float *logits_, *norms_;
  const int64_t vocabulary_, slices_;
  const ossia_draw& draw_;
  float* scores_ = nullptr;
  Candidate* best_ = nullptr;
};

}  // namespace
}  // namespace ossia

int32_t ossia_int8_norms(ossia_context* context, const ossia_weight* weight, float* norms) {
  using namespace ossia;
  if (!is_weight(weight) || weight->dtype != OSSIA_INT8 || norms == nullptr) return OSSIA_BAD_ARGUMENT;
  const Call call(context);
  const Int8Shape shape{weight->columns};
  context->pool.run(panels_of(weight->rows), [&](int64_t panel, int) {
    const char* from = static_cast<const char*>(weight->values) + panel * shape.panel_bytes();
    const int64_t first = panel * kPanelRows;
    for (int64_t r = 0; r < least(kPanelRows, weight->rows - first); ++r) norms[first + r] = norm_of(from, r, shape);
  });
  return OSSIA_OK;
}

int32_t ossia_screen(ossia_context* context, const float* x, int64_t rows, int64_t columns, const float* logits,
                     const float* norms, int64_t vocabulary, const ossia_draw* draw, uint32_t* wanted) {
  using namespace ossia;
  if (draw == nullptr || x == nullptr || logits == nullptr || norms == nullptr || wanted == nullptr || rows < 0 ||
      columns < 1 || vocabulary < 1 || vocabulary > kMostVocabulary || !is_sound(*draw, rows, vocabulary) ||
      !takes_the_best(*draw, rows)) {
    return OSSIA_BAD_ARGUMENT;
  }
  if (!has_known_tokens(*draw, rows, vocabulary)) return OSSIA_BAD_INDEX;
  const Call call(context);
  Screening screening(context, logits, norms, vocabulary, *draw);
  if (!screening.prepare(context->scratch)) return OSSIA_OUT_OF_MEMORY;
  std::memset(wanted, 0, static_cast<size_t>(divide_up(vocabulary, 32)) * sizeof(uint32_t));
  for (int64_t row = 0; row < rows; ++row) screening.add(row, bound_of(x + row * columns, columns), wanted);
  return OSSIA_OK;
}
