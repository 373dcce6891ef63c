/// Texts that people and files give: addresses, sizes, names, keys, versions, the identity file.

#include "core/store/data_directory.hpp"
#include "core/utf8.hpp"
#include "net/address.hpp"
#include "net/size_text.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <string>

using namespace cairn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  if (const auto address = parse_address(text)) {
    const auto again = parse_address(to_string(*address));
    fuzz::require(again && again->host == address->host && again->port == address->port);
    (void)is_loopback(address->host);
  }
  (void)parse_node_address(text);
  (void)parse_size(text);
  (void)is_valid_name(text);
  (void)is_storable_text(text);
  return 0;
}
