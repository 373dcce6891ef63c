#pragma once
/// Sizes as people write and read them.

#include "core/errc.hpp"

#include <cstdint>
#include <string>

namespace cairn {

/// Reads "4096", "4k", "10MiB", "1GiB" (powers of 1024). @error invalid_message
result<std::uint64_t> parse_size(const std::string& text);
/// "0 B", "812 B", "4.0 KiB", "1.3 GiB".
std::string human_size(std::uint64_t bytes);

} // namespace cairn
