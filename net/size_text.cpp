#include "net/size_text.hpp"

#include <charconv>
#include <limits>
#include <string_view>

#include <fmt/format.h>

namespace cairn {

namespace {
constexpr std::string_view prefixes = "KMGT";
}

result<std::uint64_t> parse_size(const std::string& text) {
  const auto wrong = [&] {
    return fail(errc::invalid_message,
                fmt::format("\"{}\" is not a size: write e.g. 4096, 4k, 10MiB or 1GiB", text));
  };
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc{})
    return wrong();
  std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  if (unit.empty() || unit == "B")
    return number;
  const auto upper = static_cast<char>(unit.front() >= 'a' ? unit.front() - 'a' + 'A' : unit.front());
  const auto power = prefixes.find(upper);
  unit.remove_prefix(1);
  if (power == std::string_view::npos || !(unit.empty() || unit == "B" || unit == "iB"))
    return wrong();
  const auto shift = 10 * (power + 1);
  if (number > std::numeric_limits<std::uint64_t>::max() >> shift)
    return wrong();
  return number << shift;
}

std::string human_size(std::uint64_t bytes) {
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  auto scaled = static_cast<double>(bytes);
  std::size_t power = 0;
  for (scaled /= 1024; scaled >= 1024 && power + 1 < prefixes.size(); scaled /= 1024)
    ++power;
  return fmt::format("{:.1f} {}iB", scaled, prefixes[power]);
}

} // namespace cairn
