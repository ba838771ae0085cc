// ossia_attend against the definition in double; the same bits for any cut into steps and any thread count; what is
// refused.

#include <algorithm>
#include <cmath>
#include <string>

#include "check.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

struct Case {
  int64_t tokens, heads, key_heads, width, page_size, window;
  int32_t dtype;
};

const Case kCases[] = {
    {40, 8, 2, 32, 16, 0, OSSIA_F32},   {40, 8, 2, 32, 16, 7, OSSIA_BF16},    {70, 3, 3, 18, 5, 0, OSSIA_BF16},
    {33, 6, 1, 64, 1, 20, OSSIA_F32},   {1200, 8, 1, 16, 64, 0, OSSIA_F32},   {1200, 2, 2, 16, 48, 600, OSSIA_BF16},
    {530, 20, 2, 2, 512, 0, OSSIA_F32}, {40, 8, 2, 32, 16, 7, OSSIA_INT8},    {70, 3, 3, 18, 5, 0, OSSIA_INT8},
    {560, 8, 1, 64, 16, 0, OSSIA_INT8}, {150, 8, 1, 128, 48, 90, OSSIA_INT8}, {33, 6, 1, 256, 1, 20, OSSIA_INT8},
    {560, 8, 1, 64, 16, 0, OSSIA_BF16}, {150, 8, 1, 128, 80, 90, OSSIA_BF16}, {40, 5, 1, 1024, 16, 20, OSSIA_BF16},
};

// Values in 8 bits whose weights are rounded together.
constexpr int64_t kBlock = 64;

// What a head's whole numbers count in, in 8 bits.
float scale_of(const float* head, int64_t width) {
  float largest = 0;
  for (int64_t e = 0; e < width; ++e) largest = std::max(largest, std::fabs(head[e]));
  return largest / 127.f;
}

// The nearest multiple of it.
float whole(float x, const float* head, int64_t width) {
  const float scale = scale_of(head, width);
  return std::nearbyint(x / scale) * scale;
}

float stored(float x, int32_t dtype, const float* head, int64_t width) {
  return dtype == OSSIA_BF16 ? float_of(bf16_of(x)) : dtype == OSSIA_INT8 ? whole(x, head, width) : x;
}

// One request's queries, keys and values, on pages in falling order with one page of nobody at each end.
struct Request {
  Request(const Case& shape, uint32_t seed) : shape(shape) {
    Random random(seed);
    q = random.normals(shape.tokens * shape.heads * shape.width);
    k = random.normals(shape.tokens * shape.key_heads * shape.width);
    v = random.normals(shape.tokens * shape.key_heads * shape.width);
    sinks = random.normals(shape.heads);
    const int64_t pages = (shape.tokens + shape.page_size - 1) / shape.page_size;
    for (int64_t page = 0; page < pages; ++page) table.push_back(static_cast<int32_t>(pages - page));
    cache = {nullptr, pages + 2, shape.page_size, shape.key_heads, shape.width, shape.dtype};
    const size_t bytes = static_cast<size_t>(ossia_page_bytes(&cache) * cache.pages);
    memory.assign(bytes + 64, 0);
    cache.data = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  }

  // The tokens `first` up to `end`, with one row of padding.
  int32_t step(ossia_context* context, int64_t first, int64_t end, std::vector<float>& y) {
    const int64_t count = end - first, size = shape.heads * shape.width, key_size = shape.key_heads * shape.width;
    std::vector<int32_t> positions, slots;
    for (int64_t position = first; position < end; ++position) {
      positions.push_back(static_cast<int32_t>(position));
      slots.push_back(static_cast<int32_t>(table[static_cast<size_t>(position / shape.page_size)] * shape.page_size +
                                           position % shape.page_size));
    }
    positions.push_back(0);
    slots.push_back(-1);
    const int32_t starts[] = {0, static_cast<int32_t>(count)};
    const ossia_step step{
        positions.data(), starts, slots.data(), table.data(), count + 1, 1, static_cast<int64_t>(table.size())};
    const auto rows = [&](const std::vector<float>& all, int64_t width) {
      std::vector<float> part(all.begin() + first * width, all.begin() + end * width);
      part.resize(part.size() + static_cast<size_t>(width), NAN);
      return part;
    };
    std::vector<float> part(static_cast<size_t>((count + 1) * size), NAN);
    const int32_t status =
        ossia_attend(context, rows(q, size).data(), rows(k, key_size).data(), rows(v, key_size).data(), sinks.data(),
                     shape.heads, &cache, &step, shape.window, part.data());
    CHECK(status != OSSIA_OK || std::all_of(part.end() - size, part.end(), [](float x) { return x == 0.f; }));
    if (status == OSSIA_OK) y.insert(y.end(), part.begin(), part.end() - size);
    return status;
  }

  // One element of one token's output, and how far from it a result may be.
  struct Wanted {
    double value, bound;
  };
  Wanted wanted(const std::string& isa, int64_t token, int64_t head, int64_t e) const {
    const int64_t key_head = head / (shape.heads / shape.key_heads);
    const int64_t first = shape.window == 0 ? 0 : std::max<int64_t>(0, token - shape.window + 1);
    const double sink = sinks[static_cast<size_t>(head)], root = std::sqrt(static_cast<double>(shape.width));
    double sum = std::exp(sink), mixed = 0, size = 0, keys = 0, largest = 0;
    const auto query = [&](int64_t i) {
      const float number = at(q, shape.heads, token, head, i);
      return double{is_halved(isa) ? float_of(bf16_of(number)) : number};
    };
    for (int64_t i = 0; i < shape.width; ++i) largest = std::max(largest, std::fabs(query(i)));
    std::vector<double> lost(static_cast<size_t>(token / kBlock + 1)), numbers(lost.size());
    for (int64_t position = first; position <= token; ++position) {
      double score = 0, key_size = 0;
      for (int64_t i = 0; i < shape.width; ++i) {
        score += query(i) * key(position, key_head, i);
        key_size += std::fabs(key(position, key_head, i));
      }
      const double weight = std::exp(score / root), value = kept(v, position, key_head, e);
      const double scale = scale_of(v.data() + (position * shape.key_heads + key_head) * shape.width, shape.width);
      const size_t block = static_cast<size_t>(position / kBlock);
      lost[block] = std::max(lost[block], weight * scale);
      numbers[block] += std::fabs(value) / scale;
      sum += weight;
      mixed += weight * value;
      size += weight * std::fabs(value);
      keys = std::max(keys, key_size);
    }
    // Scores of order ten and sums of some hundred numbers of order one move a result by 1e-5 at most; two numbers of
    // bfloat16 in place of one of float32 move a score by 2^-17 of its terms, and one of bfloat16 a weight by 2^-8.
    double bound =
        2e-5 + std::ldexp(2 * largest * keys / root, -17) + (is_halved(isa) ? std::ldexp(size / sum, -8) : 0);
    if (shape.dtype == OSSIA_INT8) {
      // A query, and the weights times scales of each 64 values, are off by half of their largest over 16256.
      const double moved = 2 * largest / 32512 * keys / root;
      bound += std::expm1(moved) * size / sum;
      for (size_t block = 0; block < lost.size(); ++block)
        bound += std::exp(moved) * lost[block] / sum / 32512 * numbers[block];
    }
    return {mixed / sum, bound};
  }

  // Whether queries and the weights of values are rounded to bfloat16.
  bool is_halved(const std::string& isa) const { return shape.dtype == OSSIA_BF16 && isa == "zen4"; }
  double key(int64_t position, int64_t head, int64_t e) const { return kept(k, position, head, e); }
  double kept(const std::vector<float>& all, int64_t position, int64_t head, int64_t e) const {
    const float* row = all.data() + (position * shape.key_heads + head) * shape.width;
    return stored(row[e], shape.dtype, row, shape.width);
  }
  float at(const std::vector<float>& all, int64_t heads, int64_t token, int64_t head, int64_t e) const {
    return all[static_cast<size_t>((token * heads + head) * shape.width + e)];
  }

  Case shape;
  std::vector<float> q, k, v, sinks;
  std::vector<int32_t> table;
  std::vector<char> memory;
  ossia_cache cache;
};

std::vector<float> run(const char* isa, int threads, const Case& shape, int64_t chunk) {
  ossia_context* context;
  std::vector<float> y;
  if (ossia_create(threads, isa, &context) != OSSIA_OK) return y;
  Request request(shape, 5);
  for (int64_t first = 0; first < shape.tokens; first += chunk) {
    CHECK(request.step(context, first, std::min(first + chunk, shape.tokens), y) == OSSIA_OK);
  }
  ossia_destroy(context);
  return y;
}

void values_and_bits(const Case& shape) {
  const Request request(shape, 5);
  for (const char* isa : kIsas) {
    const std::vector<float> whole = run(isa, 1, shape, shape.tokens);
    for (int64_t token = 0; token < shape.tokens && !whole.empty(); token += 1 + shape.tokens / 20) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        const int64_t e = (token + head) % shape.width;
        const Request::Wanted wanted = request.wanted(isa, token, head, e);
        const float found = whole[static_cast<size_t>((token * shape.heads + head) * shape.width + e)];
        CHECK_THAT(std::fabs(found - wanted.value) < wanted.bound, "%s, token %d: %g for %g", isa,
                   static_cast<int>(token), found, wanted.value);
      }
    }
    for (int64_t chunk : {int64_t{1}, int64_t{37}, shape.tokens}) {
      if (chunk == 1 && shape.tokens > 100) continue;
      CHECK_THAT(run(isa, 3, shape, chunk) == whole, "%s: chunks of %d differ", isa, static_cast<int>(chunk));
    }
  }
}

void refusals() {
  ossia_context* context;
  CHECK(ossia_create(2, nullptr, &context) == OSSIA_OK);
  const Case shape{20, 4, 2, 8, 4, 0, OSSIA_F32};
  std::vector<float> y;
  const auto status_of = [&](auto change) {
    Request request(shape, 7);
    change(request);
    return request.step(context, 0, shape.tokens, y);
  };
  CHECK(status_of([](Request&) {}) == OSSIA_OK);
  CHECK(status_of([](Request& r) { r.table[2] = -1; }) == OSSIA_BAD_INDEX);
  CHECK(status_of([](Request& r) { r.table[2] = 100; }) == OSSIA_BAD_INDEX);
  CHECK(status_of([](Request& r) {
          r.table.pop_back();
          r.shape.tokens -= 4;
        }) == OSSIA_BAD_INDEX);
  CHECK(status_of([](Request& r) { r.cache.pages = 2; }) == OSSIA_BAD_INDEX);
  CHECK(status_of([](Request& r) { r.shape.heads = 3; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Request& r) { r.shape.window = -1; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Request& r) { r.cache.width = 7; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Request& r) { r.cache.dtype = OSSIA_MXFP4; }) == OSSIA_BAD_ARGUMENT);
  for (int64_t bad : {int64_t{0}, int64_t{-1}, int64_t{1} << 40}) {
    CHECK(status_of([&](Request& r) { r.cache.heads = bad; }) == OSSIA_BAD_ARGUMENT);
    CHECK(status_of([&](Request& r) { r.cache.page_size = bad; }) == OSSIA_BAD_ARGUMENT);
    const ossia_cache cache{nullptr, 4, bad, 2, 8, OSSIA_F32};
    CHECK(ossia_page_bytes(&cache) == 0);
  }
  ossia_destroy(context);
}

}  // namespace

int main() {
  for (const Case& shape : kCases) values_and_bits(shape);
  refusals();
  return ossia::test::failures > 0;
}
