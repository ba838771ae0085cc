// Which tokens of a draw can come, told from a copy of the unembedding in 4 bits; most probably.
//
// Row w of the unembedding is that in 8 bits, and v its copy, of whole numbers drawn so that v is w on average: of the
// product with an input, v x - w x is a sum of C independent numbers of mean 0, the one of column i within an interval
// of length s |x_i|, where s is the scale of its chunk. By Hoeffding's inequality it is below -t with a probability of
// at most exp(-2 t^2 / d^2), d^2 the sum over the columns of (s x_i)^2. With t = d sqrt(ln(V / kRisk) / 2) none of the
// V rows is that far below, but for a risk of kRisk in all. The draws of rounding are made once, by a hash of a
// weight's place, which no input knows.
//
// Both products as computed, p of w and q of v, are rounded: sums of S chunks, exact before, are converted, scaled and
// added in order, so that either is off by g(S + 6) times the sum of its terms' magnitudes, g as in screen.cc. A
// chunk's are at most 7 s times the sum of |x_i|, which is at most 8 times their size, the root of the sum of squares,
// and over S chunks together at most 56 sqrt(S) d. What the hash and the quotient round is less than 2^-19 s of a
// weight: 8 sqrt(S) 2^-19 d. So, but for the risk,
//
//     p <= q + d (sqrt(ln(V / kRisk) / 2) + 112 sqrt(S) g(S + 6) + 8 sqrt(S) 2^-19)
//
// and 2^-60 more for numbers too small for float32. Of a row with a scale beyond 2^60, whose product might leave
// float32's range on the way, nothing is known: its copy has no scale. The best row of the copy is read in 8 bits, with
// the fifteen that lie beside it; what a draw does to logits keeps their order (screen.cc): a token whose upper end
// scores less than the best of these is not drawn.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "arguments.h"
#include "context.h"
#include "draws.h"
#include "int4.h"

namespace ossia {
namespace {

constexpr double kRisk = 1e-9;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Beyond this, products might have left float32's range.
constexpr float kWidest = 0x1p60f, kRest = 0x1p-60f;
constexpr uint16_t kNoScale = 0x7FC0;  // a bfloat16 that is no number

// The next bfloat16 that is not smaller.
uint16_t up(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0xFFFF) >> 16);
}

// A number from 0 to 1 that belongs to a place of the matrix.
float chance(int64_t place) {
  return (static_cast<float>(mix((static_cast<uint64_t>(place) + 1) * kGolden) >> 41) + 0.5f) * 0x1p-23f;
}

// Chunk c of row r of a panel, at `row` in the matrix.
void round_chunk(const char* from, const Int8Shape& shape, int64_t row, int64_t r, int64_t c, char* to) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(from) + shape.scale_bytes() + c * kInt8ChunkBytes;
  uint8_t* halves = reinterpret_cast<uint8_t*>(to) + shape.scale_bytes() + c * kInt4ChunkBytes;
  const auto number = [&](int64_t i) { return bytes[(i / kQuad * kPanelRows + r) * kQuad + i % kQuad] - kInt8Zero; };
  int32_t largest = 0;
  for (int64_t i = 0; i < kInt8Chunk; ++i) largest = std::max(largest, std::abs(number(i)));
  const float scale = scale_at(from, c, r);
  const uint16_t own = scale <= kWidest ? up(static_cast<float>(largest) * scale / kInt4Largest) : kNoScale;
  const bool any = own != 0 && own != kNoScale;
  reinterpret_cast<uint16_t*>(to)[c * kPanelRows + r] = own;
  const float ratio = any ? scale / scale_at(to, c, r) : 0.f;
  for (int64_t i = 0; i < kInt8Chunk; ++i) {
    const float drawn =
        std::floor(static_cast<float>(number(i)) * ratio + chance(row * shape.columns + c * kInt8Chunk + i));
    const int32_t whole = any ? std::clamp(static_cast<int32_t>(drawn), -7, 7) : 0;
    const int32_t half = (whole + kInt4Zero) << (i / kQuad % 2 * 4);
    halves[(i / kQuad / 2 * kPanelRows + r) * kQuad + i % kQuad] |= static_cast<uint8_t>(half);
  }
}

// The size of each chunk of a token, as its whole numbers may be.
void sizes_of(const float* x, const Int8Shape& shape, float* sizes) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < shape.columns; ++i) {
    largest = std::max(largest, std::abs(x[i]));
    finite = finite && std::isfinite(x[i]);
  }
  const double more = 0.51 * largest / kActivationLargest;
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    double squares = 0;
    for (int64_t i = c * kInt8Chunk; i < c * kInt8Chunk + shape.columns_of(c); ++i) {
      const double value = std::abs(x[i]) + more;
      squares += value * value;
    }
    sizes[c] = finite ? static_cast<float>(std::sqrt(squares) * (1 + 0x1p-20)) : kInfinity;
  }
}

float factor_of(int64_t vocabulary, int64_t chunks) {
  const double root = std::sqrt(static_cast<double>(chunks)), times = static_cast<double>(chunks + 6) * 0x1p-24;
  const double rounded = 112 * root * times / (1 - times) + 8 * root * 0x1p-19;
  // A hundred-thousandth covers the rounding of the radius itself.
  return static_cast<float>((std::sqrt(std::log(static_cast<double>(vocabulary) / kRisk) / 2) + rounded) * 1.00001);
}

// One call: the products of all rows, and then row after row, in slices.
class Int4Screening {
 public:
  Int4Screening(ossia_context& context, const ossia_weight& weight, const void* panels, int64_t rows,
                const ossia_draw& draw)
      : context_(context),
        weight_(weight),
        panels_(static_cast<const char*>(panels)),
        rows_(rows),
        draw_(draw),
        shape_{{weight.columns}},
        vocabulary_(weight.rows),
        slices_(divide_up(vocabulary_, kSlice)),
        factor_(factor_of(vocabulary_, shape_.chunks())) {}

  int32_t run(const float* x, uint32_t* wanted) {
    if (!take()) return OSSIA_OUT_OF_MEMORY;
    context_.pool.run(rows_, [&](int64_t t, int) {
      context_.kernels.int8_pack(x + t * shape_.columns, shape_.columns, integers_ + t * shape_.token_bytes(),
                                 offsets_ + t * shape_.chunks(), scales_ + t);
      sizes_of(x + t * shape_.columns, shape_, sizes_ + t * shape_.chunks());
    });
    const int64_t count = panels_of(vocabulary_);
    context_.pool.run(divide_up(count, kPanels), [&](int64_t chunk, int) { multiply(chunk, count); });
    std::memset(wanted, 0, static_cast<size_t>(divide_up(vocabulary_, 32)) * sizeof(uint32_t));
    for (int64_t row = 0; row < rows_; ++row) add(row, wanted);
    return OSSIA_OK;
  }

 private:
  static constexpr int64_t kPanels = 4;  // of a chunk

  bool take() {
    Scratch& scratch = context_.scratch;
    const int64_t chunks = rows_ * shape_.chunks(), logits = rows_ * vocabulary_;
    if (!scratch.reserve(room<char>(rows_ * shape_.token_bytes()) + room<int32_t>(chunks) + room<float>(rows_) +
                         room<float>(chunks) + 2 * room<float>(logits) + room<float>(vocabulary_) +
                         room<Candidate>(slices_))) {
      return false;
    }
    integers_ = scratch.take<char>(rows_ * shape_.token_bytes());
    offsets_ = scratch.take<int32_t>(chunks);
    scales_ = scratch.take<float>(rows_);
    sizes_ = scratch.take<float>(chunks);
    logits_ = scratch.take<float>(logits);
    squares_ = scratch.take<float>(logits);
    scores_ = scratch.take<float>(vocabulary_);
    best_ = scratch.take<Candidate>(slices_);
    return true;
  }

  void multiply(int64_t chunk, int64_t count) {
    const int64_t first = chunk * kPanels, end = std::min(first + kPanels, count), row = first * kPanelRows;
    // Threads take chunks in turns.
    const int64_t then = first + kPanels * context_.pool.threads(), bytes = shape_.panel_bytes();
    const Int8Panels mine{panels_ + first * bytes, then < count ? panels_ + then * bytes : nullptr, end - first};
    const int64_t rows = std::min((end - first) * kPanelRows, vocabulary_ - row);
    context_.kernels.int4_products(mine, shape_.columns, rows, {{integers_, offsets_, scales_, rows_}, sizes_},
                                   {logits_ + row, squares_ + row, vocabulary_});
  }

  // Adds to `wanted` the tokens that may be drawn for a row.
  void add(int64_t index, uint32_t* wanted) {
    const Row row = row_of(draw_, index, scores_);
    context_.pool.run(slices_, [&](int64_t slice, int) {
      const int64_t first = slice * kSlice, end = end_of(slice);
      place(index, first, end, 0.f);
      context_.kernels.sample_best(row, first, end, &best_[slice]);
    });
    const Candidate best =
        *std::max_element(best_, best_ + slices_, [](auto& a, auto& b) { return a.score < b.score; });
    const float least = best.token < 0 ? -kInfinity : score_beside(index, row, best.token);
    context_.pool.run(slices_, [&](int64_t slice, int) {
      const int64_t first = slice * kSlice, end = end_of(slice);
      place(index, first, end, factor_);
      context_.kernels.sample_reaching(row, first, end, least, wanted);
    });
  }

  // The best score of the panel that a token is in, in 8 bits.
  float score_beside(int64_t index, const Row& row, int64_t token) {
    const int64_t panel = token / kPanelRows, first = panel * kPanelRows;
    const int64_t end = std::min(first + kPanelRows, vocabulary_);
    const Int8Panels panels{static_cast<const char*>(weight_.values) + panel * Int8Shape{shape_.columns}.panel_bytes(),
                            nullptr, 1};
    const Int8Tokens own{integers_ + index * shape_.token_bytes(), offsets_ + index * shape_.chunks(), scales_ + index,
                         1};
    context_.kernels.int8_products(panels, shape_.columns, end - first, own, scores_ + first, vocabulary_);
    if (is_biased(draw_, index)) add_biases(draw_, index, first, end, scores_);
    Candidate best;
    context_.kernels.sample_best(row, first, end, &best);
    return best.score;
  }

  int64_t end_of(int64_t slice) const { return std::min((slice + 1) * kSlice, vocabulary_); }

  // The scores of some tokens: at the copy's logits, or `factor` times their spread above.
  void place(int64_t index, int64_t first, int64_t end, float factor) {
    const float *logits = logits_ + index * vocabulary_, *squares = squares_ + index * vocabulary_;
    for (int64_t i = first; i < end; ++i) {
      const float radius = factor * std::sqrt(squares[i]) + kRest;
      const bool known = radius < kWidest && std::abs(logits[i]) < kInfinity;
      scores_[i] = factor == 0.f ? logits[i] : known ? logits[i] + radius : kInfinity;
    }
    if (is_biased(draw_, index)) add_biases(draw_, index, first, end, scores_);
  }

  ossia_context& context_;
  const ossia_weight& weight_;
  const char* panels_;
  const int64_t rows_;
  const ossia_draw& draw_;
  const Int4Shape shape_;
  const int64_t vocabulary_, slices_;
  const float factor_;
  char* integers_ = nullptr;
  int32_t* offsets_ = nullptr;
  float *scales_ = nullptr, *sizes_ = nullptr, *logits_ = nullptr, *squares_ = nullptr, *scores_ = nullptr;
  Candidate* best_ = nullptr;
};

bool is_int8(const ossia_weight* weight) {
  return is_weight(weight) && weight->dtype == OSSIA_INT8 && weight->experts == 1;
}

}  // namespace
}  // namespace ossia

using namespace ossia;

int64_t ossia_int4_bytes(int64_t rows, int64_t columns) {
  return ossia_int8_bytes(rows, columns) == 0 ? 0 : panels_of(rows) * Int4Shape{{columns}}.panel_bytes();
}

int32_t ossia_int4_round(ossia_context* context, const ossia_weight* weight, void* panels) {
  if (!is_int8(weight) || panels == nullptr) return OSSIA_BAD_ARGUMENT;
  const Call call(context);
  const Int4Shape shape{{weight->columns}};
  const int64_t from_bytes = Int8Shape{weight->columns}.panel_bytes();
  context->pool.run(panels_of(weight->rows), [&](int64_t panel, int) {
    const char* from = static_cast<const char*>(weight->values) + panel * from_bytes;
    char* to = static_cast<char*>(panels) + panel * shape.panel_bytes();
    std::memset(to, 0, static_cast<size_t>(shape.panel_bytes()));
    for (int64_t r = 0; r < kPanelRows; ++r) {
      for (int64_t c = 0; c < shape.chunks(); ++c) round_chunk(from, shape, panel * kPanelRows + r, r, c, to);
    }
  });
  return OSSIA_OK;
}

int32_t ossia_int4_screen(ossia_context* context, const float* x, int64_t rows, const ossia_weight* weight,
                          const void* panels, const ossia_draw* draw, uint32_t* wanted) {
  if (!is_int8(weight) || draw == nullptr || x == nullptr || panels == nullptr || wanted == nullptr || rows < 0 ||
      weight->rows > kMostVocabulary || !is_sound(*draw, rows, weight->rows) || !takes_the_best(*draw, rows)) {
    return OSSIA_BAD_ARGUMENT;
  }
  if (!has_known_tokens(*draw, rows, weight->rows)) return OSSIA_BAD_INDEX;
  const Call call(context);
  return Int4Screening(*context, *weight, panels, rows, *draw).run(x, wanted);
}
