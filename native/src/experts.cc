// The mixture of experts: tokens grouped by expert, so that an expert's weights are read once for all of them.

#include <algorithm>

#include "activations.h"
#include "arguments.h"
#include "context.h"
#include "low_rank.h"
#include "matrix.h"
#include "whole_rows.h"

namespace {

using namespace ossia;

// Tokens of one pass, among which `turbo` counts those of an expert: bounds the scratch memory, about 0.1 MB a token at
// the published sizes.
constexpr int64_t kMostTokens = 1024;

// Rows of a chunk: 64 of 2880 columns are 98 KB as MXFP4. A multiple of 64, so that the 32 activations it gives are a
// whole chunk of the next product.
constexpr int64_t kRows = 64;

// A pair is a token at one of its experts, numbered t * active + place. In the order of experts, pairs of one expert
// are neighbours, in the order of their tokens.
struct Groups {
  int64_t* starts;  // [X + 1]: expert e has the places starts[e] up to starts[e + 1]
  int64_t* busy;    // [X]: the experts that have pairs
  int64_t* place;   // [pairs]: of each pair in the order of experts
  int64_t* pair;    // [pairs]: the pair at each place
  int64_t busy_count = 0;

  static size_t room(int64_t experts, int64_t pairs) {
    return 2 * ossia::room<int64_t>(experts + 1) + 2 * ossia::room<int64_t>(pairs);
  }

  Groups(Scratch& scratch, const int32_t* chosen, int64_t pairs, int64_t experts)
      : starts(scratch.take<int64_t>(experts + 1)),
        busy(scratch.take<int64_t>(experts + 1)),
        place(scratch.take<int64_t>(pairs)),
        pair(scratch.take<int64_t>(pairs)) {
    std::fill(starts, starts + experts + 1, 0);
    for (int64_t p = 0; p < pairs; ++p) ++starts[chosen[p] + 1];
    for (int64_t e = 0; e < experts; ++e) {
      if (starts[e + 1] > 0) busy[busy_count++] = e;
      starts[e + 1] += starts[e];
    }
    for (int64_t p = 0; p < pairs; ++p) {
      place[p] = starts[chosen[p]]++;
      pair[place[p]] = p;
    }
    // Counting has moved each start to the next expert's.
    for (int64_t e = experts; e > 0; --e) starts[e] = starts[e - 1];
    starts[0] = 0;
  }
};

// The experts that a caller of ossia_experts gives, known to be sound.
struct Mixture {
  const ossia_weight& gate_up;
  const ossia_weight& down;
  const ossia_low_rank* gate_up_terms;  // both nullptr when no token has an adapter
  const ossia_low_rank* down_terms;
  int64_t active;
  float limit;
  bool fast, turbo;
};

// Some rows of one expert's matrix, for all its pairs.
struct Part {
  Matrix matrix;
  int64_t expert, place, pairs, first, rows;
};

// One pass of up to kMostTokens tokens.
class Pass {
 public:
  Pass(ossia_context& context, const Mixture& mixture, int64_t tokens)
      : context_(context),
        kernels_(context.kernels),
        mixture_(mixture),
        tokens_(tokens),
        pairs_(tokens * mixture.active),
        width_(mixture.down.rows),
        x_(context, tokens, mixture.gate_up.columns, mixture.fast),
        a_(context, pairs_, mixture.down.columns, mixture.fast),
        gate_up_operands_(context, pairs_, mixture.gate_up, mixture.fast),
        down_operands_(context, pairs_, mixture.down, mixture.fast),
        gate_up_whole_(context, pairs_, mixture.gate_up, mixture.turbo),
        down_whole_(context, pairs_, mixture.down, mixture.turbo),
        gate_up_low_rank_(context, mixture.gate_up, mixture.gate_up_terms, pairs_, kRows, mixture.fast),
        down_low_rank_(context, mixture.down, mixture.down_terms, pairs_, kRows, mixture.fast) {}

  int32_t run(const float* x, const int32_t* chosen, const float* shares, const int32_t* adapters, float* y) {
    Scratch& scratch = context_.scratch;
    if (!scratch.reserve(room())) return OSSIA_OUT_OF_MEMORY;
    const Groups groups(scratch, chosen, pairs_, mixture_.gate_up.experts);
    take(scratch, groups, adapters);
    x_.pack(x);
    arrange(groups, gate_up_operands_, gate_up_whole_,
            [&](int64_t place) { return x + groups.pair[place] / mixture_.active * mixture_.gate_up.columns; });
    shrink(groups, gate_up_low_rank_, x_rows_);
    each_part(groups, mixture_.gate_up, &mixture_.down, [&](const Part& part, int thread) { gate_up(part, thread); });
    arrange(groups, down_operands_, down_whole_, [&](int64_t place) { return down_whole_.values(place); });
    shrink(groups, down_low_rank_, a_.rows());
    each_part(groups, mixture_.down, nullptr, [&](const Part& part, int thread) { down(part, thread); });
    context_.pool.run(divide_up(tokens_, kTokensPerChunk), [&](int64_t chunk, int) {
      const int64_t end = std::min(tokens_, (chunk + 1) * kTokensPerChunk);
      for (int64_t t = chunk * kTokensPerChunk; t < end; ++t) add_outputs(groups, t, shares, y + t * width_);
    });
    return OSSIA_OK;
  }

 private:
  static constexpr int64_t kTokensPerChunk = 4, kFewPairs = 16;

  // Each thread's sums before the activation.
  int64_t h_size() const { return kRows * pairs_; }

  size_t room() const {
    const int64_t threads = context_.pool.threads();
    return Groups::room(mixture_.gate_up.experts, pairs_) + x_.room() + a_.room() + gate_up_operands_.room() +
           down_operands_.room() + gate_up_whole_.room() + down_whole_.room() + gate_up_low_rank_.room() +
           down_low_rank_.room() + ossia::room<const void*>(pairs_) + ossia::room<int32_t>(pairs_) +
           ossia::room<float>(pairs_ * width_) + ossia::room<float>(threads * h_size());
  }

  void take(Scratch& scratch, const Groups& groups, const int32_t* adapters) {
    const int64_t threads = context_.pool.threads();
    x_.take(scratch);
    a_.take(scratch);
    x_rows_ = scratch.take<const void*>(pairs_);
    int32_t* pair_adapters = scratch.take<int32_t>(pairs_);
    for (int64_t place = 0; place < pairs_; ++place) {
      const int64_t token = groups.pair[place] / mixture_.active;
      x_rows_[place] = x_.row(token);
      pair_adapters[place] = adapters == nullptr ? -1 : adapters[token];
    }
    gate_up_operands_.take(scratch, x_rows_);
    down_operands_.take(scratch, a_.rows());
    for (WholeRows* whole : {&gate_up_whole_, &down_whole_}) {
      whole->take(scratch);
      each_run(groups, [&](int64_t place, int64_t count) {
        if (whole->takes(count)) whole->add_run(place, count);
      });
    }
    gate_up_low_rank_.take(scratch, pair_adapters);
    down_low_rank_.take(scratch, pair_adapters);
    outputs_ = scratch.take<float>(pairs_ * width_);
    h_ = scratch.take<float>(threads * h_size());
  }

  void shrink(const Groups& groups, const LowRank& low_rank, const void* const* rows) {
    if (!low_rank.any()) return;
    context_.pool.run(groups.busy_count, [&](int64_t g, int thread) {
      const int64_t expert = groups.busy[g];
      for (int64_t place = groups.starts[expert]; place < groups.starts[expert + 1]; ++place) {
        low_rank.shrink(place, expert, rows[place], thread);
      }
    });
  }

  // Each expert's pairs are a run: body(place, count).
  template <class F>
  static void each_run(const Groups& groups, F&& body) {
    for (int64_t g = 0; g < groups.busy_count; ++g) {
      const int64_t expert = groups.busy[g], place = groups.starts[expert];
      body(place, groups.starts[expert + 1] - place);
    }
  }

  // Has every run ready for the products of one weight; numbers(place) are its activations in float32, for those runs
  // that take whole numbers.
  template <class F>
  void arrange(const Groups& groups, const Operands& operands, const WholeRows& whole, F&& numbers) {
    if (!operands.grouped() && !whole.takes(1)) return;
    const auto run = [&](int64_t place, int64_t count) {
      if (!whole.takes(count)) return operands.arrange(place, count);
      for (int64_t i = place; i < place + count; ++i) whole.pack(i, numbers(i));
    };
    // A few rows are done sooner than other threads would begin.
    if (pairs_ <= kFewPairs) return each_run(groups, run);
    context_.pool.run(groups.busy_count, [&](int64_t g, int) {
      const int64_t expert = groups.busy[g], place = groups.starts[expert];
      run(place, groups.starts[expert + 1] - place);
    });
  }

  // All parts of one weight; those of `then` come after them.
  template <class F>
  void each_part(const Groups& groups, const ossia_weight& weight, const ossia_weight* then, F&& body) {
    const int64_t parts = divide_up(weight.rows, kRows);
    const Streams streams{groups.busy_count * parts, context_.pool.threads()};
    context_.pool.run(streams.chunks, [&](int64_t chunk, int thread) {
      const int64_t at = streams.at(chunk), expert = groups.busy[at / parts], first = at % parts * kRows;
      const int64_t place = groups.starts[expert], pairs = groups.starts[expert + 1] - place;
      const Matrix matrix = matrix_at(groups, weight, then, streams, chunk);
      body(Part{matrix, expert, place, pairs, first, std::min(kRows, weight.rows - first)}, thread);
    });
  }

  // The matrix of a chunk's part, and where the thread that has it will go on.
  Matrix matrix_at(const Groups& groups, const ossia_weight& weight, const ossia_weight* then, const Streams& streams,
                   int64_t chunk) const {
    const auto of = [&](const ossia_weight& w, int64_t at, int64_t parts) {
      return matrix_of(w, groups.busy[at / parts]);
    };
    const int64_t parts = divide_up(weight.rows, kRows), next = chunk + streams.threads;
    const Matrix matrix = of(weight, streams.at(chunk), parts);
    if (next < streams.chunks) {
      const int64_t at = streams.at(next);
      return followed_by(matrix, of(weight, at, parts), at % parts * kRows);
    }
    if (then == nullptr || then->dtype != weight.dtype) return matrix;
    const int64_t later = divide_up(then->rows, kRows);
    const Streams after{groups.busy_count * later, streams.threads};
    if (next - streams.chunks >= after.chunks) return matrix;
    const int64_t at = after.at(next - streams.chunks);
    return followed_by(matrix, of(*then, at, later), at % later * kRows);
  }

  // y[i * stride + r] = row r of the part for its pair i, bias and low-rank term included.
  void project(const ossia_weight& weight, const Operands& x, const WholeRows& whole, const LowRank& low_rank,
               const Part& part, float* y, int64_t stride, int thread) {
    if (whole.takes(part.pairs)) {
      whole.products(part.matrix, part.first, part.rows, part.place, part.pairs, y, stride);
    } else {
      x.products(part.matrix, part.first, part.rows, part.place, part.pairs, y, stride);
    }
    if (weight.bias != nullptr) {
      const float* bias = weight.bias + part.expert * weight.rows + part.first;
      for (int64_t i = 0; i < part.pairs; ++i) kernels_.add_scaled(y + i * stride, bias, 1.f, part.rows);
    }
    low_rank.add(part.place, part.pairs, part.expert, part.first, part.rows, y, stride, thread);
  }

  void gate_up(const Part& part, int thread) {
    float* h = h_ + thread * h_size();
    project(mixture_.gate_up, gate_up_operands_, gate_up_whole_, gate_up_low_rank_, part, h, part.rows, thread);
    float a[kRows / 2];
    for (int64_t i = 0; i < part.pairs; ++i) {
      kernels_.swiglu(h + i * part.rows, part.rows / 2, mixture_.limit, a);
      a_.pack(part.place + i, part.first / 2, a, part.rows / 2);
      if (down_whole_.takes(part.pairs)) {
        std::copy(a, a + part.rows / 2, down_whole_.values(part.place + i) + part.first / 2);
      }
    }
  }

  void down(const Part& part, int thread) {
    float* y = outputs_ + part.place * width_ + part.first;
    project(mixture_.down, down_operands_, down_whole_, down_low_rank_, part, y, width_, thread);
  }

  void add_outputs(const Groups& groups, int64_t token, const float* shares, float* y) {
    std::fill(y, y + width_, 0.f);
    for (int64_t pair = token * mixture_.active; pair < (token + 1) * mixture_.active; ++pair) {
      kernels_.add_scaled(y, outputs_ + groups.place[pair] * width_, shares[pair], width_);
    }
  }

  ossia_context& context_;
  const Kernels& kernels_;
  const Mixture& mixture_;
  const int64_t tokens_, pairs_, width_;
  Activations x_;  // of tokens
  Activations a_;  // of pairs, in the order of experts
  Operands gate_up_operands_, down_operands_;
  WholeRows gate_up_whole_, down_whole_;
  LowRank gate_up_low_rank_, down_low_rank_;
  const void** x_rows_ = nullptr;  // the packed token of each pair, in the order of experts
  float* outputs_ = nullptr;       // [pairs, D], in the order of experts
  float* h_ = nullptr;
};

bool are_experts(const ossia_weight* gate_up, const ossia_weight* down) {
  return is_weight(gate_up) && is_weight(down) && gate_up->dtype != OSSIA_INT8 && down->dtype != OSSIA_INT8 &&
         gate_up->experts == down->experts && gate_up->rows == 2 * down->columns && gate_up->columns == down->rows;
}

bool are_within(const ossia_low_rank* terms, const int32_t* adapters, int64_t tokens) {
  return terms == nullptr || adapters == nullptr || within(adapters, tokens, -1, terms->adapters);
}

}  // namespace

int32_t ossia_experts(ossia_context* context, const float* x, int64_t tokens, const int32_t* chosen,
                      const float* shares, int64_t active, const ossia_weight* gate_up, const ossia_weight* down,
                      const ossia_low_rank* gate_up_terms, const ossia_low_rank* down_terms, const int32_t* adapters,
                      float limit, int32_t precision, float* y) {
  if (!are_experts(gate_up, down) || !is_precision(precision)) return OSSIA_BAD_ARGUMENT;
  if (x == nullptr || chosen == nullptr || shares == nullptr || y == nullptr || tokens < 0 || active < 1) {
    return OSSIA_BAD_ARGUMENT;
  }
  if (!is_low_rank(gate_up_terms) || !is_low_rank(down_terms)) return OSSIA_BAD_ARGUMENT;
  if (!within(chosen, tokens * active, 0, gate_up->experts)) return OSSIA_BAD_INDEX;
  if (!are_within(gate_up_terms, adapters, tokens) || !are_within(down_terms, adapters, tokens)) return OSSIA_BAD_INDEX;
  const Call call(context);
  if (adapters == nullptr) gate_up_terms = down_terms = nullptr;
  const Mixture mixture{
      *gate_up, *down, gate_up_terms, down_terms, active, limit, precision != OSSIA_EXACT, precision == OSSIA_TURBO};
  for (int64_t t = 0; t < tokens; t += kMostTokens) {
    Pass pass(*context, mixture, std::min(kMostTokens, tokens - t));
    const int32_t status = pass.run(x + t * gate_up->columns, chosen + t * active, shares + t * active,
                                    adapters == nullptr ? nullptr : adapters + t, y + t * down->rows);
    if (status != OSSIA_OK) return status;
  }
  return OSSIA_OK;
}
