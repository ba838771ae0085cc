#include "int8_linear.h"

#include <algorithm>

#include "activations.h"
#include "arguments.h"
#include "int8.h"
#include "int8_group_kernels.h"
#include "low_rank.h"

namespace ossia {
namespace {

// The panels of a chunk: of few tokens two, which tiles take together; at the end of a small matrix one thread waits
// for the other. Of many tokens more, whose activations come from the second cache once for all of them.
constexpr int64_t kPanels = 2, kManyTokens = 32, kPanelsForMany = 8;

// Tokens packed by a thread at once.
constexpr int64_t kPackedTogether = 4;

// One call; the activations are packed once more, in bfloat16, where there are low-rank terms.
class Int8Call {
 public:
  Int8Call(ossia_context& context, int64_t tokens, const ossia_weight& weight, const ossia_low_rank* terms,
           const int32_t* adapters, int32_t precision)
      : context_(context),
        tokens_(tokens),
        weight_(weight),
        shape_{weight.columns},
        panels_(tokens > kManyTokens ? kPanelsForMany : kPanels),
        grouped_(tokens >= kFewestGrouped && context.kernels.int8_arrange != nullptr),
        coarse_(tokens > most_whole_tokens(context.kernels, precision)),
        adapters_(adapters),
        low_rank_(context, weight, adapters == nullptr ? nullptr : terms, tokens, panels_ * kPanelRows, true),
        wide_(context, low_rank_.any() ? tokens : 0, weight.columns, true) {}

  // `wanted` nullptr: all rows; otherwise the panels that have some of them.
  int32_t run(const float* x, const uint32_t* wanted, float* y) {
    if (!context_.scratch.reserve(room())) return OSSIA_OUT_OF_MEMORY;
    take();
    pack(x);
    if (low_rank_.any()) {
      wide_.pack(x);
      context_.pool.run(tokens_, [&](int64_t t, int thread) { low_rank_.shrink(t, 0, wide_.row(t), thread); });
    }
    const int64_t count = panels_of(weight_.rows);
    context_.pool.run(divide_up(count, panels_), [&](int64_t chunk, int thread) {
      const int64_t first = chunk * panels_, end = std::min(first + panels_, count);
      // Threads take chunks in turns.
      if (wanted == nullptr) return part(first, end - first, first + panels_ * context_.pool.threads(), y, thread);
      for (int64_t panel = first; panel < end; ++panel) {
        if (has_any(wanted, panel)) part(panel, 1, count, y, thread);
      }
    });
    return OSSIA_OK;
  }

 private:
  size_t room() const {
    return ossia::room<char>(tokens_ * shape_.token_bytes()) + ossia::room<int32_t>(tokens_ * shape_.chunks()) +
           ossia::room<float>(tokens_) + ossia::room<char>(groups_size()) + low_rank_.room() + wide_.room();
  }

  int64_t groups_size() const { return grouped_ ? tokens_ * int8_group_bytes(shape_) : 0; }
  Int8Tokens tokens() const { return {integers_, offsets_, scales_, tokens_}; }

  void take() {
    integers_ = context_.scratch.take<char>(tokens_ * shape_.token_bytes());
    offsets_ = context_.scratch.take<int32_t>(tokens_ * shape_.chunks());
    scales_ = context_.scratch.take<float>(tokens_);
    groups_ = context_.scratch.take<char>(groups_size());
    low_rank_.take(context_.scratch, adapters_);
    wide_.take(context_.scratch);
  }

  void pack(const float* x) {
    context_.pool.run(divide_up(tokens_, kPackedTogether), [&](int64_t chunk, int) {
      const int64_t begin = chunk * kPackedTogether, end = std::min(tokens_, begin + kPackedTogether);
      for (int64_t t = begin; t < end; ++t) {
        context_.kernels.int8_pack(x + t * weight_.columns, weight_.columns, integers_ + t * shape_.token_bytes(),
                                   offsets_ + t * shape_.chunks(), scales_ + t);
      }
    });
    if (!grouped_) return;
    context_.pool.run(TokenGroups{tokens_}.count, [&](int64_t group, int) {
      context_.kernels.int8_arrange(tokens(), shape_, group, coarse_, groups_);
    });
  }

  // Whether one of a panel's 16 rows is wanted: its half of a word.
  static bool has_any(const uint32_t* wanted, int64_t panel) {
    return (wanted[panel / 2] >> (kPanelRows * (panel % 2)) & 0xFFFF) != 0;
  }

  // All tokens at the rows of `count` panels from panel `first` on; panel `then` is what comes next, if it is there.
  void part(int64_t first, int64_t count, int64_t then, float* y, int thread) const {
    const char* panels = static_cast<const char*>(weight_.values);
    const char* next = then * kPanelRows < weight_.rows ? panels + then * shape_.panel_bytes() : nullptr;
    const Int8Panels mine{panels + first * shape_.panel_bytes(), next, count};
    const int64_t row = first * kPanelRows, rows = std::min(count * kPanelRows, weight_.rows - row);
    const Kernels& kernels = context_.kernels;
    if (grouped_) {
      kernels.int8_group_products(mine, weight_.columns, rows, tokens(), groups_, coarse_, y + row, weight_.rows);
    } else {
      kernels.int8_products(mine, weight_.columns, rows, tokens(), y + row, weight_.rows);
    }
    if (weight_.bias != nullptr) {
      for (int64_t t = 0; t < tokens_; ++t) {
        kernels.add_scaled(y + t * weight_.rows + row, weight_.bias + row, 1.f, rows);
      }
    }
    low_rank_.add(0, tokens_, 0, row, rows, y + row, weight_.rows, thread);
  }

  ossia_context& context_;
  const int64_t tokens_;
  const ossia_weight& weight_;
  const Int8Shape shape_;
  const int64_t panels_;  // of a chunk
  const bool grouped_, coarse_;
  const int32_t* adapters_;
  LowRank low_rank_;
  Activations wide_;
  char* integers_ = nullptr;
  int32_t* offsets_ = nullptr;
  float* scales_ = nullptr;
  char* groups_ = nullptr;
};

}  // namespace

int32_t int8_linear(ossia_context& context, const float* x, int64_t tokens, const ossia_weight& weight,
                    const ossia_low_rank* terms, const int32_t* adapters, int32_t precision, float* y) {
  return Int8Call(context, tokens, weight, terms, adapters, precision).run(x, nullptr, y);
}

int32_t int8_linear_rows(ossia_context& context, const float* x, int64_t tokens, const ossia_weight& weight,
                         const uint32_t* wanted, int32_t precision, float* y) {
  return Int8Call(context, tokens, weight, nullptr, nullptr, precision).run(x, wanted, y);
}

}  // namespace ossia

using namespace ossia;

int64_t ossia_int8_bytes(int64_t rows, int64_t columns) {
  if (rows < 1 || columns < 1 || rows > (INT64_MAX >> 16) / columns) return 0;
  return panels_of(rows) * Int8Shape{columns}.panel_bytes();
}

int32_t ossia_int8_round(ossia_context* context, const ossia_weight* weight, void* panels) {
  if (!is_weight(weight) || !is_float(*weight) || weight->experts != 1 || panels == nullptr) return OSSIA_BAD_ARGUMENT;
  const Call call(context);
  const Matrix matrix = matrix_of(*weight, 0);
  const int64_t bytes = Int8Shape{weight->columns}.panel_bytes();
  context->pool.run(panels_of(weight->rows), [&](int64_t panel, int) {
    const int64_t first = panel * kPanelRows;
    context->kernels.int8_round(matrix, first, std::min(kPanelRows, weight->rows - first),
                                static_cast<char*>(panels) + panel * bytes);
  });
  return OSSIA_OK;
}
