#include "net/address.hpp"

#include "core/store/data_directory.hpp"

#include <charconv>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace cairn {

result<host_port> parse_address(const std::string& text) {
  const auto wrong = [&] {
    return fail(errc::invalid_message,
                fmt::format("\"{}\" is not an address: write HOST:PORT, e.g. {}", text, default_address));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return wrong();
  host_port address;
  address.host = text.substr(0, colon);
  if (address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  else if (address.host.find(':') != std::string::npos)
    return wrong();
  if (address.host.find_first_of("[]") != std::string::npos)
    return wrong();
  const auto* begin = text.data() + colon + 1;
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(begin, end, address.port);
  if (parsed.ec != std::errc{} || parsed.ptr != end || address.host.empty())
    return wrong();
  return address;
}

result<node_address> parse_node_address(const std::string& text) {
  const auto slash = text.find('/');
  auto host = parse_address(text.substr(0, slash));
  if (!host)
    return pass_failure(host);
  node_address address{std::move(*host), {}};
  if (slash == std::string::npos)
    return address;
  address.node = text.substr(slash + 1);
  if (!is_valid_name(address.node))
    return fail(errc::invalid_message,
                fmt::format("\"{}\" names no node: write HOST:PORT/NODE, the name with 1 to 63 characters of "
                            "A-Z a-z 0-9 . _ -",
                            text));
  return address;
}

std::string to_string(const host_port& address) {
  return address.host.find(':') == std::string::npos ? fmt::format("{}:{}", address.host, address.port)
                                                     : fmt::format("[{}]:{}", address.host, address.port);
}

bool is_loopback(const std::string& host) {
  in_addr v4{};
  const auto is_v4 = ::inet_pton(AF_INET, host.c_str(), &v4) == 1;
  return host == "localhost" || host == "::1" || (is_v4 && (ntohl(v4.s_addr) >> 24U) == 127);
}

} // namespace cairn
