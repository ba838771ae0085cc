// Sums of rows and bytes that are found, in parts of any number of rows, for any thread count; and what is refused.

#include <numeric>
#include <vector>

#include "check.h"
#include "ossia.h"

namespace {

// Words of a row and rows, part by part: some of several chunks, one row longer than a chunk, and one part without
// rows.
constexpr int64_t kParts[][2] = {{1, 3}, {5776, 250}, {7, 0}, {600'000, 2}, {3, 1}};

struct Parts {
  std::vector<std::vector<uint64_t>> words;
  std::vector<ossia_rows> rows;

  Parts() {
    uint64_t state = 1;
    for (const auto& [width, count] : kParts) {
      // A part without rows has an address all the same.
      words.emplace_back(static_cast<size_t>(width * count + 1));
      for (uint64_t& word : words.back()) word = (state = state * 6364136223846793005u + 1) & 0x7f7f7f7f7f7f7f7f;
      rows.push_back({words.back().data(), count, width * 8});
    }
  }

  int64_t count() const { return static_cast<int64_t>(rows.size()); }
  unsigned char* byte(size_t part, int64_t at) { return reinterpret_cast<unsigned char*>(words[part].data()) + at; }
};

void sums(ossia_context* context) {
  const Parts parts;
  std::vector<uint64_t> expected, found(256, 1);
  for (size_t p = 0; p < parts.rows.size(); ++p) {
    const auto [width, count] = kParts[p];
    for (int64_t row = 0; row < count; ++row) {
      const uint64_t* begin = parts.words[p].data() + row * width;
      expected.push_back(std::accumulate(begin, begin + width, uint64_t{0}));
    }
  }
  CHECK(expected.size() == found.size());
  CHECK(ossia_sum_rows(context, parts.rows.data(), parts.count(), found.data()) == OSSIA_OK);
  CHECK(found == expected);
}

int64_t part_with(ossia_context* context, const Parts& parts, uint8_t value) {
  int64_t part = -2;
  CHECK(ossia_find_byte(context, parts.rows.data(), parts.count(), value, &part) == OSSIA_OK);
  return part;
}

void bytes(ossia_context* context) {
  Parts parts;
  CHECK(part_with(context, parts, 255) == -1);
  *parts.byte(4, 8 * 3 - 1) = 255;
  CHECK(part_with(context, parts, 255) == 4);
  for (const int64_t at : {int64_t{0}, int64_t{5776} * 8 * 249, int64_t{5776} * 8 * 250 - 1}) {
    const unsigned char before = *parts.byte(1, at);
    *parts.byte(1, at) = 255;
    CHECK(part_with(context, parts, 255) == 1);
    *parts.byte(1, at) = before;
  }
  *parts.byte(1, 5776 * 8 * 250) = 255;  // behind its last row
  CHECK(part_with(context, parts, 255) == 4);
}

void refusals(ossia_context* context) {
  uint64_t words[4] = {}, sum = 1;
  int64_t part = 5;
  const auto refused = [&](const ossia_rows& rows) {
    return ossia_sum_rows(context, &rows, 1, &sum) == OSSIA_BAD_ARGUMENT && sum == 1;
  };
  CHECK(refused({nullptr, 1, 8}));
  CHECK(refused({words, -1, 8}));
  CHECK(refused({words, 1, 0}));
  CHECK(refused({words, 1, 12}));
  CHECK(refused({reinterpret_cast<char*>(words) + 4, 1, 8}));
  CHECK(ossia_sum_rows(context, nullptr, 1, &sum) == OSSIA_BAD_ARGUMENT);
  const ossia_rows good{words, 1, 8};
  CHECK(ossia_sum_rows(context, &good, -1, &sum) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_sum_rows(context, &good, 1, nullptr) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_find_byte(context, &good, 1, 0, nullptr) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_find_byte(context, nullptr, 0, 0, &part) == OSSIA_OK && part == -1);
}

}  // namespace

int main() {
  for (const int threads : {1, 3}) {
    ossia_context* context = nullptr;
    CHECK(ossia_create(threads, nullptr, &context) == OSSIA_OK);
    sums(context);
    bytes(context);
    refusals(context);
    ossia_destroy(context);
  }
  return ossia::test::failures > 0;
}
