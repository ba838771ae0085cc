// Rows of a table, and products with one matrix.

#include <algorithm>
#include <cstring>

#include "activations.h"
#include "arguments.h"
#include "bits.h"
#include "context.h"
#include "int8_linear.h"
#include "low_rank.h"
#include "matrix.h"

namespace {

using namespace ossia;

// The bytes of weights in a chunk. Fewer, and the first rows of a chunk, which no prefetch has asked for, would weigh;
// more, and at the end of a small matrix one thread would wait for the other.
constexpr int64_t kChunkBytes = 192 * 1024;

// On tiles, the rows of a chunk for many tokens: their activations come from the second cache once for all of the
// chunk.
constexpr int64_t kManyTokens = 32, kRowsForMany = 128;

int64_t rows_per_chunk(const ossia_context& context, const ossia_weight& weight, int64_t tokens, bool fast) {
  if (tokens > kManyTokens && takes_groups(context.kernels, weight.dtype, fast)) return kRowsForMany;
  const int64_t rows = kChunkBytes / row_bytes(weight.dtype, weight.columns) / 8 * 8;
  return std::max<int64_t>(8, rows);
}

// One call of ossia_linear or ossia_linear_rows, its arguments known to be sound.
class LinearCall {
 public:
  LinearCall(ossia_context& context, int64_t tokens, const ossia_weight& weight, const ossia_low_rank* terms,
             const int32_t* adapters, bool fast)
      : context_(context),
        tokens_(tokens),
        weight_(weight),
        adapters_(adapters),
        rows_(rows_per_chunk(context, weight, tokens, fast)),
        x_(context, tokens, weight.columns, fast),
        operands_(context, tokens, weight, fast),
        low_rank_(context, weight, adapters == nullptr ? nullptr : terms, tokens, rows_, fast) {}

  // `wanted` nullptr: all rows.
  int32_t run(const float* x, const uint32_t* wanted, float* y) {
    if (!context_.scratch.reserve(x_.room() + operands_.room() + low_rank_.room())) return OSSIA_OUT_OF_MEMORY;
    x_.take(context_.scratch);
    operands_.take(context_.scratch, x_.rows());
    low_rank_.take(context_.scratch, adapters_);
    x_.pack(x);
    operands_.arrange_all(context_.pool);
    if (low_rank_.any()) {
      context_.pool.run(tokens_, [&](int64_t t, int thread) { low_rank_.shrink(t, 0, x_.row(t), thread); });
    }
    context_.pool.run(divide_up(weight_.rows, rows_), [&](int64_t chunk, int thread) {
      const int64_t first = chunk * rows_, end = std::min(first + rows_, weight_.rows);
      // Threads take chunks in turns.
      if (wanted == nullptr) return part(first, end - first, first + rows_ * context_.pool.threads(), y, thread);
      for_runs(wanted, first, end, [&](int64_t row, int64_t rows) { part(row, rows, weight_.rows, y, thread); });
    });
    return OSSIA_OK;
  }

 private:
  // All tokens at the rows `first` up to `first` + `rows`; `next` are those that come after them, if there are any.
  void part(int64_t first, int64_t rows, int64_t next, float* y, int thread) const {
    const Kernels& kernels = context_.kernels;
    Matrix matrix = matrix_of(weight_, 0);
    if (next < weight_.rows) matrix = followed_by(matrix, matrix, next);
    operands_.products(matrix, first, rows, 0, tokens_, y + first, weight_.rows);
    if (weight_.bias != nullptr) {
      for (int64_t t = 0; t < tokens_; ++t) {
        kernels.add_scaled(y + t * weight_.rows + first, weight_.bias + first, 1.f, rows);
      }
    }
    low_rank_.add(0, tokens_, 0, first, rows, y + first, weight_.rows, thread);
  }

  ossia_context& context_;
  const int64_t tokens_;
  const ossia_weight& weight_;
  const int32_t* adapters_;
  const int64_t rows_;  // of a chunk
  Activations x_;
  Operands operands_;
  LowRank low_rank_;
};

}  // namespace

int32_t ossia_embed(ossia_context* context, const ossia_weight* table, const int32_t* tokens, int64_t count, float* y) {
  if (!is_weight(table) || !is_float(*table) || table->experts != 1) return OSSIA_BAD_ARGUMENT;
  if (tokens == nullptr || y == nullptr || count < 0) return OSSIA_BAD_ARGUMENT;
  if (!within(tokens, count, 0, table->rows)) return OSSIA_BAD_INDEX;
  const Call call(context);
  const int64_t columns = table->columns;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t begin = tokens[t] * columns;
    if (table->dtype == OSSIA_F32) {
      std::memcpy(y + t * columns, static_cast<const float*>(table->values) + begin,
                  static_cast<size_t>(columns) * sizeof(float));
    } else {
      context->kernels.widen_row(static_cast<const uint16_t*>(table->values) + begin, columns, y + t * columns);
    }
  }
  return OSSIA_OK;
}

int32_t ossia_linear(ossia_context* context, const float* x, int64_t tokens, const ossia_weight* weight,
                     const ossia_low_rank* terms, const int32_t* adapters, int32_t precision, float* y) {
  if (!is_weight(weight) || weight->dtype == OSSIA_MXFP4 || weight->experts != 1) return OSSIA_BAD_ARGUMENT;
  if (x == nullptr || y == nullptr || tokens < 0 || !is_low_rank(terms) || !is_precision(precision)) {
    return OSSIA_BAD_ARGUMENT;
  }
  if (weight->dtype == OSSIA_INT8 && precision == OSSIA_EXACT) return OSSIA_BAD_ARGUMENT;
  if (terms != nullptr && adapters != nullptr && !within(adapters, tokens, -1, terms->adapters)) {
    return OSSIA_BAD_INDEX;
  }
  if (tokens == 0) return OSSIA_OK;
  const Call call(context);
  if (weight->dtype == OSSIA_INT8) return int8_linear(*context, x, tokens, *weight, terms, adapters, precision, y);
  return LinearCall(*context, tokens, *weight, terms, adapters, precision != OSSIA_EXACT).run(x, nullptr, y);
}

int64_t ossia_most_whole_tokens(const ossia_context* context, int32_t precision) {
  return most_whole_tokens(context->kernels, precision);
}

int32_t ossia_linear_rows(ossia_context* context, const float* x, int64_t tokens, const ossia_weight* weight,
                          const uint32_t* wanted, int32_t precision, float* y) {
  if (!is_weight(weight) || weight->dtype == OSSIA_MXFP4 || weight->experts != 1) return OSSIA_BAD_ARGUMENT;
  if (x == nullptr || y == nullptr || wanted == nullptr || tokens < 0 || !is_precision(precision)) {
    return OSSIA_BAD_ARGUMENT;
  }
  if (weight->dtype == OSSIA_INT8 && precision == OSSIA_EXACT) return OSSIA_BAD_ARGUMENT;
  if (tokens == 0) return OSSIA_OK;
  const Call call(context);
  if (weight->dtype == OSSIA_INT8) return int8_linear_rows(*context, x, tokens, *weight, wanted, precision, y);
  return LinearCall(*context, tokens, *weight, nullptr, nullptr, precision != OSSIA_EXACT).run(x, wanted, y);
}
