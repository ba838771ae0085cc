// What is mapped, looked at before it is used: sums of rows, and bytes that must not be there.

#include <algorithm>
#include <atomic>
#include <cstring>

#include "context.h"

namespace {

// Bytes of a chunk: what one thread maps and then reads. Twice a huge page, since few chunks begin at one.
constexpr int64_t kChunkBytes = int64_t{4} << 20;

bool are_rows(const ossia_rows* parts, int64_t count, int64_t alignment) {
  if (count < 0 || (parts == nullptr && count > 0)) return false;
  return std::all_of(parts, parts + count, [&](const ossia_rows& part) {
    return part.data != nullptr && part.rows >= 0 && part.bytes > 0 && part.bytes % alignment == 0 &&
           reinterpret_cast<uintptr_t>(part.data) % static_cast<uintptr_t>(alignment) == 0;
  });
}

int64_t rows_of_chunk(const ossia_rows& part) { return std::max<int64_t>(1, kChunkBytes / part.bytes); }
int64_t chunks_of(const ossia_rows& part) { return ossia::divide_up(part.rows, rows_of_chunk(part)); }

// Some rows of one part; `row` is the number of the first among the rows of all parts.
struct Chunk {
  const char* data;
  int64_t part, row, rows, bytes;
};

// A walk over all parts costs nothing beside the reading of a chunk.
Chunk chunk_at(const ossia_rows* parts, int64_t chunk) {
  int64_t p = 0, before = 0;
  for (; chunk >= chunks_of(parts[p]); before += parts[p++].rows) chunk -= chunks_of(parts[p]);
  const int64_t first = chunk * rows_of_chunk(parts[p]);
  const char* data = static_cast<const char*>(parts[p].data) + first * parts[p].bytes;
  return {data, p, before + first, std::min(rows_of_chunk(parts[p]), parts[p].rows - first), parts[p].bytes};
}

// Calls look(chunk) for all rows of all parts, by all threads.
template <class F>
void each_chunk(ossia_context& context, const ossia_rows* parts, int64_t count, F&& look) {
  int64_t chunks = 0;
  for (int64_t p = 0; p < count; ++p) {
    ossia::prefer_huge_pages(parts[p].data, static_cast<size_t>(parts[p].rows * parts[p].bytes));
    chunks += chunks_of(parts[p]);
  }
  context.pool.run(chunks, [&](int64_t c, int) {
    const Chunk chunk = chunk_at(parts, c);
    ossia::populate(chunk.data, static_cast<size_t>(chunk.rows * chunk.bytes));
    look(chunk);
  });
}

}  // namespace

int32_t ossia_sum_rows(ossia_context* context, const ossia_rows* parts, int64_t count, uint64_t* sums) {
  if (!are_rows(parts, count, sizeof(uint64_t)) || sums == nullptr) return OSSIA_BAD_ARGUMENT;
  const ossia::Call call(context);
  each_chunk(*context, parts, count, [&](const Chunk& chunk) {
    for (int64_t r = 0; r < chunk.rows; ++r) {
      sums[chunk.row + r] = context->kernels.sum_bytes(chunk.data + r * chunk.bytes, chunk.bytes);
    }
  });
  return OSSIA_OK;
}

int32_t ossia_find_byte(ossia_context* context, const ossia_rows* parts, int64_t count, uint8_t value, int64_t* part) {
  if (!are_rows(parts, count, 1) || part == nullptr) return OSSIA_BAD_ARGUMENT;
  const ossia::Call call(context);
  std::atomic<int64_t> first{count};
  each_chunk(*context, parts, count, [&](const Chunk& chunk) {
    if (memchr(chunk.data, value, static_cast<size_t>(chunk.rows * chunk.bytes)) == nullptr) return;
    int64_t least = first;
    while (chunk.part < least && !first.compare_exchange_weak(least, chunk.part)) {
    }
  });
  *part = first < count ? first.load() : -1;
  return OSSIA_OK;
}
