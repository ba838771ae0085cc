// The mixture of experts: tokens grouped by expert, so that an expert's weights are read once for all of them.

#include <algorithm>

#include "arguments.h"
#include "context.h"
#include "expert_inputs.h"
#include "matrix.h"

namespace {

using namespace ossia;

// Tokens of one pass, among which `turbo` counts those of an expert: bounds the scratch memory, 0.1 to 0.25 MB a
// token at the published sizes.
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
  int32_t precision;
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
        x_(context, tokens, pairs_, mixture.gate_up, mixture.gate_up_terms, mixture.precision, kRows),
        a_(context, pairs_, pairs_, mixture.down, mixture.down_terms, mixture.precision, kRows) {}

  int32_t run(const float* x, const int32_t* chosen, const float* shares, const int32_t* adapters, float* y) {
    Scratch& scratch = context_.scratch;
    if (!scratch.reserve(room())) return OSSIA_OUT_OF_MEMORY;
    const Groups groups(scratch, chosen, pairs_, mixture_.gate_up.experts);
    take(scratch, groups, adapters);
    x_.pack(x);
    if (x_.arranges()) each_run(groups, [&](int64_t place, int64_t pairs) { x_.arrange(place, pairs); });
    shrink(groups, x_);
    each_part(groups, mixture_.gate_up, &mixture_.down, [&](const Part& part, int thread) { gate_up(part, thread); });
    if (a_.arranges()) each_run(groups, [&](int64_t place, int64_t pairs) { arrange_activations(place, pairs); });
    shrink(groups, a_);
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
  // Activations in float32, for runs of whole numbers, whose scale is known when all of a row's are.
  int64_t a_size() const { return a_.is_whole(1) ? pairs_ * mixture_.down.columns : 0; }

  size_t room() const {
    return Groups::room(mixture_.gate_up.experts, pairs_) + ossia::room<int32_t>(pairs_) + x_.room() + a_.room() +
           ossia::room<float>(a_size()) + ossia::room<float>(pairs_ * width_) +
           ossia::room<float>(context_.pool.threads() * h_size());
  }

  void take(Scratch& scratch, const Groups& groups, const int32_t* adapters) {
    int32_t* pair_adapters = scratch.take<int32_t>(pairs_);
    const auto token_of = [&](int64_t place) { return groups.pair[place] / mixture_.active; };
    for (int64_t place = 0; place < pairs_; ++place) {
      pair_adapters[place] = adapters == nullptr ? -1 : adapters[token_of(place)];
    }
    x_.take(scratch, pair_adapters, token_of);
    a_.take(scratch, pair_adapters, [](int64_t place) { return place; });
    activations_ = scratch.take<float>(a_size());
    outputs_ = scratch.take<float>(pairs_ * width_);
    h_ = scratch.take<float>(context_.pool.threads() * h_size());
  }

  void shrink(const Groups& groups, const ExpertInputs& inputs) {
    if (!inputs.has_terms()) return;
    context_.pool.run(groups.busy_count, [&](int64_t g, int thread) {
      const int64_t expert = groups.busy[g];
      for (int64_t place = groups.starts[expert]; place < groups.starts[expert + 1]; ++place) {
        inputs.shrink(place, expert, thread);
      }
    });
  }

  // Each expert's pairs are a run: body(place, pairs).
  template <class F>
  void each_run(const Groups& groups, F&& body) {
    const auto run = [&](int64_t g) {
      const int64_t expert = groups.busy[g], place = groups.starts[expert];
      body(place, groups.starts[expert + 1] - place);
    };
    // A few rows are done sooner than other threads would begin.
    if (pairs_ > kFewPairs) return context_.pool.run(groups.busy_count, [&](int64_t g, int) { run(g); });
    for (int64_t g = 0; g < groups.busy_count; ++g) run(g);
  }

  void arrange_activations(int64_t place, int64_t pairs) {
    for (int64_t i = place; a_.is_whole(pairs) && i < place + pairs; ++i) {
      a_.pack_whole(i, activations_ + i * mixture_.down.columns);
    }
    a_.arrange(place, pairs);
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

  void gate_up(const Part& part, int thread) {
    float* h = h_ + thread * h_size();
    x_.project(part, h, part.rows, thread);
    float a[kRows / 2];
    const int64_t first = part.first / 2, count = part.rows / 2;
    for (int64_t i = 0; i < part.pairs; ++i) {
      const int64_t place = part.place + i;
      kernels_.swiglu(h + i * part.rows, count, mixture_.limit, a);
      if (a_.is_plain(part.pairs)) a_.pack_plain(place, first, a, count);
      if (a_.is_whole(part.pairs)) std::copy(a, a + count, activations_ + place * mixture_.down.columns + first);
    }
  }

  void down(const Part& part, int thread) {
    a_.project(part, outputs_ + part.place * width_ + part.first, width_, thread);
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
  ExpertInputs x_;                // of tokens
  ExpertInputs a_;                // of pairs, in the order of experts
  float* activations_ = nullptr;  // those in float32
  float* outputs_ = nullptr;      // [pairs, D], in the order of experts
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

void ossia_expert_rounding(const ossia_context* context, int32_t precision, int64_t* whole_tokens, int32_t* rest) {
  const ExpertRounding rounding = expert_rounding(context->kernels, precision);
  *whole_tokens = rounding.whole_tokens;
  *rest = rounding.rest;
}

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
  const Mixture mixture{*gate_up, *down, gate_up_terms, down_terms, active, limit, precision};
  for (int64_t t = 0; t < tokens; t += kMostTokens) {
    Pass pass(*context, mixture, std::min(kMostTokens, tokens - t));
    const int32_t status = pass.run(x + t * gate_up->columns, chosen + t * active, shares + t * active,
                                    adapters == nullptr ? nullptr : adapters + t, y + t * down->rows);
    if (status != OSSIA_OK) return status;
  }
  return OSSIA_OK;
}
