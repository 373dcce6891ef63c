#include "tests/power/database_proxy.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace cairn::power {

namespace {

// Messages of the protocol. Source: PostgreSQL manual, chapter "Frontend/Backend Protocol", message formats.
constexpr std::size_t length_bytes = 4; ///< big-endian, counts itself
constexpr char query = 'Q', sync = 'S', parse = 'P', bind_portal = 'B', ready_for_query = 'Z';

constexpr std::string_view full_disk_sql =
  "DO $$BEGIN RAISE EXCEPTION 'no room, says the test' USING ERRCODE = '53100'; END$$";
constexpr std::size_t described_bytes = 60;

/// Of the message at the beginning of `bytes`, with its type if it has one. @returns 0: it is not whole
std::size_t size_of_message(std::string_view bytes, bool has_type) {
  const std::size_t begin = has_type ? 1 : 0;
  if (bytes.size() < begin + length_bytes)
    return 0;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length = length << 8U | static_cast<unsigned char>(bytes[begin + i]);
  return bytes.size() < begin + length ? 0 : begin + length;
}

std::string message(char type, std::string_view body) {
  std::string bytes(1, type);
  const auto length = body.size() + length_bytes;
  for (const auto shift : {24U, 16U, 8U, 0U})
    bytes.push_back(static_cast<char>(length >> shift));
  return bytes.append(body);
}

std::string query_message(std::string_view sql) { return message(query, std::string{sql} + '\0'); }

/// What a server says to one client too many.
std::string no_room_message() {
  using namespace std::string_literals;
  return message('E', "SFATAL\0C53300\0Mtoo many clients, says the test\0\0"s);
}

/// What a call is about, by its first message: of a query and of a statement to be prepared the beginning of
/// the SQL, of one to be executed its name.
std::string describe(std::string_view call, bool is_connect) {
  if (is_connect)
    return "connect";
  auto text = call.substr(1 + length_bytes);
  if (call.front() == parse || call.front() == bind_portal)
    text.remove_prefix(text.find('\0') + 1); // comes first: the statement's, the portal's own name
  std::string words{text.substr(0, std::min(text.find('\0'), described_bytes))};
  std::ranges::replace_if(
    words, [](unsigned char c) { return std::iscntrl(c) != 0; }, ' ');
  return words;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto put = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return; // the other side is gone, which reading it tells
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

/// @returns false: the end
bool read_some(int fd, std::string& into) {
  std::array<char, 64U << 10U> buffer;
  const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got < 0 && errno == EINTR)
    return true;
  if (got <= 0)
    return false;
  into.append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw std::runtime_error(path + ": too long for a socket");
  std::ranges::copy(path, address.sun_path);
  return address;
}

posix::unique_fd unix_socket() { return posix::unique_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

/// The value of a word of a connection string, without quotes.
std::string word_of(const std::string& connection_string, const std::string& name) {
  const auto at = connection_string.find(name + "=");
  if (at == std::string::npos)
    throw std::runtime_error("no " + name + " in " + connection_string);
  const auto begin = at + name.size() + 1;
  auto word = connection_string.substr(begin, connection_string.find(' ', begin) - begin);
  std::erase(word, '\'');
  return word;
}

} // namespace

std::string_view to_string(call_failure how) {
  switch (how) {
    case call_failure::cut_before: return "cut before";
    case call_failure::cut_after: return "cut after";
    case call_failure::refused: return "refused";
  }
  return "unknown";
}

database_proxy::database_proxy(const std::string& connection_string)
    : listener_(unix_socket()), stop_(::eventfd(0, EFD_CLOEXEC)) {
  const auto host = word_of(connection_string, "host");
  const auto port = word_of(connection_string, "port");
  server_socket_ = fmt::format("{}/.s.PGSQL.{}", host, port);
  connection_string_ = fmt::format("host={} port={} user={} dbname={}", directory_.path(), port,
                                   word_of(connection_string, "user"), word_of(connection_string, "dbname"));
  const auto address = address_of(directory_ / fmt::format(".s.PGSQL.{}", port));
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0
      || ::listen(listener_.get(), SOMAXCONN) != 0)
    throw std::runtime_error(fmt::format("the proxy cannot listen: errno {}", errno));
  thread_ = std::thread([this] { pass_on(); });
}

database_proxy::~database_proxy() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void database_proxy::begin_anew() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
  failing_ = 0;
}

void database_proxy::fail(call_failure how, std::uint64_t nth) {
  const std::lock_guard lock(mutex_);
  how_ = how;
  failing_ = nth;
}

std::vector<std::string> database_proxy::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

void database_proxy::pass_on() {
  for (;;) {
    std::vector<pollfd> waiting{{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const auto& each : links_) {
      waiting.push_back({each.client.get(), POLLIN, 0});
      waiting.push_back({each.server.get(), POLLIN, 0});
    }
    if (::poll(waiting.data(), waiting.size(), -1) < 0)
      continue;
    if (waiting[0].revents != 0)
      return;
    auto at = waiting.begin() + 2;
    for (auto& each : links_) {
      if ((at++)->revents != 0)
        read_client(each);
      if ((at++)->revents != 0 && !each.is_over)
        read_server(each);
    }
    links_.remove_if([](const link& each) { return each.is_over; });
    if (waiting[1].revents != 0)
      accept_client();
  }
}

void database_proxy::accept_client() {
  link fresh;
  fresh.client = posix::unique_fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  fresh.server = unix_socket();
  const auto address = address_of(server_socket_);
  if (!fresh.client.valid()
      || ::connect(fresh.server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return; // the client sees its connection closed
  links_.push_back(std::move(fresh));
}

void database_proxy::read_client(link& on) {
  on.is_over = !read_some(on.client.get(), on.from_client);
  while (!on.is_over && take_message(on)) {}
}

bool database_proxy::take_message(link& on) {
  const auto size = size_of_message(on.from_client, on.is_greeted);
  if (size == 0)
    return false;
  const auto type = on.is_greeted ? on.from_client.front() : query;
  on.call.append(on.from_client, 0, size);
  on.from_client.erase(0, size);
  if (type == query || type == sync)
    finish_call(on);
  else if (type == 'X' || type == 'p') { // the end, a password: no calls
    write_all(on.server.get(), on.call);
    on.call.clear();
  }
  return true;
}

void database_proxy::finish_call(link& on) {
  const auto is_connect = !std::exchange(on.is_greeted, true);
  const auto call = std::exchange(on.call, {});
  std::optional<call_failure> fails;
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(describe(call, is_connect));
    if (calls_.size() == failing_)
      fails = how_;
  }
  if (!fails) {
    write_all(on.server.get(), call);
    return;
  }
  switch (*fails) {
    case call_failure::cut_before: on.is_over = true; break;
    case call_failure::cut_after:
      on.is_to_be_cut = true;
      write_all(on.server.get(), call);
      break;
    case call_failure::refused:
      if (is_connect)
        write_all(on.client.get(), no_room_message());
      else
        write_all(on.server.get(), query_message(full_disk_sql));
      on.is_over = is_connect;
      break;
  }
}

void database_proxy::read_server(link& on) {
  std::string answer;
  on.is_over = !read_some(on.server.get(), answer);
  if (!on.is_to_be_cut) {
    write_all(on.client.get(), answer);
    return;
  }
  on.withheld += answer;
  while (const auto size = size_of_message(on.withheld, true)) {
    on.is_over = on.is_over || on.withheld.front() == ready_for_query;
    on.withheld.erase(0, size);
  }
}

} // namespace cairn::power
