#include "sample.h"
#include "simd.h"

namespace ossia::OSSIA_ISA {
namespace {

const float kNothing = -__builtin_inff();
const float kLargest = as_float(0x7F7FFFFF);

alignas(64) const float kCounting[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

OSSIA_INLINE F32 cleaned(F32 x) { return min(max(x, broadcast(kNothing)), broadcast(kLargest)); }

// Bit i: whether token `first` + i may be drawn.
OSSIA_INLINE uint32_t allowed_bits(const Row& row, int64_t first, int64_t end) {
  const uint32_t present = end - first >= kLanes ? 0xFFFF : (1u << (end - first)) - 1;
  return row.mask == nullptr ? present : row.mask[first / 32] >> (first % 32) & present;
}

// The scores of the 16 tokens from `first` on, -infinity where one may not be drawn.
OSSIA_INLINE F32 scores_of(const Row& row, int64_t first, int64_t end, uint32_t bits) {
  const float* p = row.scores + first;
  F32 x = cleaned(end - first >= kLanes ? load(p) : load_tail(p, static_cast<int>(end - first)));
  if (row.temperature != 0.f) x = min(div(x, broadcast(row.temperature)), broadcast(kLargest));
  if (bits == 0xFFFF) return x;
  float without[kLanes];
  for (int i = 0; i < kLanes; ++i) without[i] = (bits >> i & 1) != 0 ? 0.f : kNothing;
  return add(x, load(without));
}

// -infinity where the filter leaves a token out.
OSSIA_INLINE F32 filtered(const Row& row, F32 x, F32 tokens) {
  const F32 nothing = broadcast(kNothing), least = broadcast(row.least_score);
  const F32 weight = exp(sub(x, broadcast(row.top)));
  const F32 kept = select_less(weight, broadcast(row.least_weight), nothing, x);
  const F32 at_least = select_less(broadcast(row.least_token), tokens, nothing, kept);
  return select_less(least, x, kept, select_less(x, least, nothing, at_least));
}

// v in (0, 1) for the noise of the 16 tokens from `first` on: the high half of a hash, plus a half, over 2^32.
OSSIA_INLINE F32 uniform(uint64_t key, int64_t first) {
  float v[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const uint64_t hash = mix(key + kGolden * static_cast<uint64_t>(first + i));
    v[i] = static_cast<float>((static_cast<double>(static_cast<uint32_t>(hash >> 32)) + 0.5) * 0x1p-32);
  }
  return min(load(v), broadcast(as_float(0x3F7FFFFF)));
}

// -log(-log1p(-v)). log1p(-v) = log(u) + (-v - (u - 1)) / u with u = 1 - v rounded, where u - 1 is exact.
OSSIA_INLINE F32 noise_of(F32 v) {
  const F32 one = broadcast(1.f), minus = sub(zero(), v), u = sub(one, v);
  const F32 lost = div(sub(minus, sub(u, one)), u);
  return sub(zero(), log(sub(zero(), add(log(u), lost))));
}

// The best token seen so far in each lane.
struct Lanes {
  F32 score = broadcast(kNothing);
  F32 token = broadcast(-1.f);

  OSSIA_INLINE void take(F32 x, F32 tokens) {
    token = select_less(score, x, tokens, token);
    score = select_less(score, x, x, score);
  }

  OSSIA_INLINE Candidate best() const {
    float scores[kLanes], tokens[kLanes];
    store(scores, score);
    store(tokens, token);
    Candidate best{kNothing, -1};
    for (int i = 0; i < kLanes; ++i) {
      const int32_t token = static_cast<int32_t>(tokens[i]);
      if (scores[i] > best.score || (scores[i] == best.score && token < best.token)) best = {scores[i], token};
    }
    return best;
  }
};

// Whether no token can beat `best` with its noise: noise beyond d needs v < e^-d. The margin covers the rounding of
// noise and sum, which grows with the scores.
OSSIA_INLINE bool is_hopeless(F32 x, F32 v, float best) {
  const float margin = 1e-3f + __builtin_fabsf(best) * 0x1p-22f;
  const F32 limit = exp(sub(x, broadcast(best - margin)));
  return max_lane(select_less(limit, v, zero(), broadcast(1.f))) == 0.f;
}

}  // namespace

void sample_best(const Row& row, int64_t first, int64_t end, Candidate* best) {
  Lanes lanes;
  float most = kNothing;
  for (int64_t token = first; token < end; token += kLanes) {
    const uint32_t bits = allowed_bits(row, token, end);
    if (bits == 0) continue;
    const F32 tokens = add(broadcast(static_cast<float>(token)), load(kCounting));
    F32 x = scores_of(row, token, end, bits);
    if (row.is_filtered) x = filtered(row, x, tokens);
    if (row.temperature != 0.f) {
      if (max_lane(x) == kNothing) continue;
      const F32 v = uniform(row.key, token);
      if (most > kNothing && is_hopeless(x, v, most)) continue;
      x = add(x, noise_of(v));
      const float here = max_lane(x);
      most = here > most ? here : most;
    }
    lanes.take(x, tokens);
  }
  *best = lanes.best();
}

void sample_reaching(const Row& row, int64_t first, int64_t end, float least, uint32_t* reaching) {
  for (int64_t token = first; token < end; token += kLanes) {
    const uint32_t bits = allowed_bits(row, token, end);
    if (bits == 0) continue;
    F32 x = scores_of(row, token, end, bits);
    if (row.is_filtered) x = filtered(row, x, add(broadcast(static_cast<float>(token)), load(kCounting)));
    if (max_lane(x) == kNothing) continue;
    if (row.temperature != 0.f) {
      const F32 v = uniform(row.key, token);
      if (least > kNothing && is_hopeless(x, v, least)) continue;
      x = add(x, noise_of(v));
    }
    if (max_lane(x) < least) continue;
    float scores[kLanes];
    store(scores, x);
    for (int i = 0; i < kLanes; ++i) {
      if (scores[i] >= least && scores[i] > kNothing) reaching[token / 32] |= 1u << ((token + i) % 32);
    }
  }
}

float sample_largest(const Row& row, int64_t first, int64_t end) {
  F32 most = broadcast(kNothing);
  for (int64_t token = first; token < end; token += kLanes) {
    const uint32_t bits = allowed_bits(row, token, end);
    if (bits != 0) most = max(most, scores_of(row, token, end, bits));
  }
  return max_lane(most);
}

void sample_classes(const Row& row, int64_t first, int64_t end, Class* classes) {
  const F32 top = broadcast(row.top), per_unit = broadcast(kClassesPerUnit), last = broadcast(kClasses - 1);
  for (int64_t token = first; token < end; token += kLanes) {
    const uint32_t bits = allowed_bits(row, token, end);
    if (bits == 0) continue;
    const F32 difference = sub(scores_of(row, token, end, bits), top);
    float weight[kLanes], number[kLanes];
    store(weight, exp(difference));
    store(number, min(mul(sub(zero(), difference), per_unit), last));
    for (int i = 0; i < kLanes; ++i) {
      if ((bits >> i & 1) == 0) continue;
      Class& of_token = classes[static_cast<int>(number[i])];
      ++of_token.count;
      of_token.weight += static_cast<double>(weight[i]);
    }
  }
}

int64_t sample_members(const Row& row, int64_t first, int64_t end, int number, Candidate* members) {
  const F32 top = broadcast(row.top), per_unit = broadcast(kClassesPerUnit), last = broadcast(kClasses - 1);
  int64_t count = 0;
  for (int64_t token = first; token < end; token += kLanes) {
    const uint32_t bits = allowed_bits(row, token, end);
    if (bits == 0) continue;
    const F32 x = scores_of(row, token, end, bits);
    float scores[kLanes], numbers[kLanes];
    store(scores, x);
    store(numbers, min(mul(sub(top, x), per_unit), last));
    for (int i = 0; i < kLanes; ++i) {
      if ((bits >> i & 1) == 0 || static_cast<int>(numbers[i]) != number) continue;
      members[count++] = {scores[i], static_cast<int32_t>(token + i)};
    }
  }
  return count;
}

void sample_log_sum(const float* logits, int64_t first, int64_t end, float* largest, float* sum) {
  const Row row{logits, nullptr, 0.f, 0, false, 0.f, 0.f, 0.f, 0.f};
  *largest = sample_largest(row, first, end);
  *sum = 0.f;
  if (*largest == kNothing) return;
  F32 sums = zero();
  for (int64_t token = first; token < end; token += kLanes) {
    const F32 x = scores_of(row, token, end, allowed_bits(row, token, end));
    sums = add(sums, exp(sub(x, broadcast(*largest))));
  }
  *sum = ossia::OSSIA_ISA::sum(sums);
}

float sample_weight(float difference) {
  float lanes[kLanes];
  store(lanes, exp(broadcast(difference)));
  return lanes[0];
}

}  // namespace ossia::OSSIA_ISA
