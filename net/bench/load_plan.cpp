#include "net/bench/load_plan.hpp"

#include "core/digest.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include <fmt/format.h>

namespace cairn::bench {

namespace {

constexpr std::size_t max_samples = 16;
constexpr std::uint64_t max_digested_bytes = 1ULL << 30U; ///< beforehand
constexpr std::uint32_t default_objects_of_a_client = 32;

sample make_sample(std::uint32_t size_bytes, std::mt19937_64& random) {
  sample made;
  made.data = payload::uninitialized(size_bytes);
  std::ranges::generate(made.data.mutable_bytes(), [&] { return static_cast<std::byte>(random()); });
  const auto digests = digest_payload(made.data.bytes());
  made.info = {0, size_bytes, 0, digests.md5, digests.adler32};
  return made;
}

} // namespace

result<void> check(const load_options& options) {
  if (options.sequence_bytes == 0 || options.sequences < 1)
    return fail(errc::invalid_message, "an object must have at least one sequence of one byte");
  for (const auto& [what, count] :
       {std::pair("clients", options.concurrency), std::pair("messages in flight", options.in_flight)})
    if (count == 0 || count > max_load_width)
      return fail(errc::invalid_message,
                  fmt::format("{}: {}, there must be 1 to {}", what, count, max_load_width));
  if (options.range_bytes > options.sequence_bytes || (options.range_bytes != 0 && options.sequences != 1))
    return fail(errc::invalid_message, "a range lies inside one object of one sequence");
  return {};
}

result<std::shared_ptr<const load_plan>> make_plan(const load_options& options) {
  if (auto checked = check(options); !checked)
    return pass_failure(checked);
  auto plan = std::make_shared<load_plan>();
  plan->options = options;
  if (options.objects == 0)
    plan->options.objects = std::uint64_t{options.concurrency} * default_objects_of_a_client;
  const auto object_bytes = std::uint64_t{options.sequence_bytes} * static_cast<unsigned>(options.sequences);
  const auto count = std::clamp<std::uint64_t>(max_digested_bytes / object_bytes, 2, max_samples);
  std::mt19937_64 random(1);
  for (std::uint64_t i = 0; i < count; ++i) {
    plan->samples.push_back(make_sample(options.sequence_bytes, random));
    if (plan->samples.back().data.size() != options.sequence_bytes)
      return fail(errc::busy, "not enough memory for the contents");
  }
  for (std::uint64_t first = 0; first < count; ++first) {
    md5_hasher md5;
    std::uint32_t adler = 1;
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(options.sequences); ++i) {
      const auto bytes = plan->samples[(first + i) % count].data.bytes();
      md5.update(bytes);
      adler = adler32(bytes, adler);
    }
    plan->files.push_back({static_cast<std::int64_t>(object_bytes), adler, md5.digest()});
  }
  return plan;
}

} // namespace cairn::bench
