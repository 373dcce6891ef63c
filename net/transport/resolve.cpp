#include "net/transport/resolve.hpp"

#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

namespace cairn {

resolved_address::resolved_address(const sockaddr* address, socklen_t size) : size_(size) {
  std::memcpy(&storage_, address, size);
}

void resolved_address::set_port(std::uint16_t port) {
  if (family() == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(storage_).sin6_port = htons(port);
  else
    reinterpret_cast<sockaddr_in&>(storage_).sin_port = htons(port);
}

result<std::vector<resolved_address>> resolve(const host_port& where) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const auto status = ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &wanted, &found);
  if (status != 0)
    return fail(errc::not_found,
                fmt::format("host \"{}\" is not known: {}", where.host, ::gai_strerror(status)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
  std::vector<resolved_address> addresses;
  for (const auto* each = all.get(); each != nullptr; each = each->ai_next)
    addresses.emplace_back(each->ai_addr, each->ai_addrlen);
  return addresses;
}

} // namespace cairn
