#pragma once
/// The statements of one transaction. Private to core/db.

#include <string>
#include <utility>

#include <pqxx/pqxx>

namespace cairn {

/// What opens the transaction travels with its first statement, because each trip to the server counts.
/// Not thread-safe.
class transaction_statements {
public:
  /// @param opening statements to be sent before all others; their results are not seen, only that none
  /// failed
  explicit transaction_statements(pqxx::transaction_base& transaction, std::string opening = {})
      : transaction_(transaction), opening_(std::move(opening)) {}
  transaction_statements(const transaction_statements&) = delete;
  transaction_statements& operator=(const transaction_statements&) = delete;

  /// For statements that are not prepared. Sends what opens the transaction, if that was not sent yet.
  pqxx::transaction_base& open() {
    if (opening_is_unsent())
      transaction_.exec(std::exchange(opening_, {}));
    return transaction_;
  }
  [[nodiscard]] bool opening_is_unsent() const { return !opening_.empty(); }

  template <class... Values>
  pqxx::result exec_prepared(const char* name, const Values&... values) {
    static_assert(sizeof...(Values) > 0, "EXECUTE without values has no parentheses");
    if (!opening_is_unsent())
      return transaction_.exec_prepared(name, values...);
    // Values as text, since libpqxx sends several statements at once only without parameters.
    std::string text;
    const auto add = [&](const std::string& value) { text.append(text.empty() ? "" : ", ").append(value); };
    (add(transaction_.quote(values)), ...);
    transaction_.conn().prepare_now(name); // the server must know it by its name
    return transaction_.exec(std::exchange(opening_, {}).append("; EXECUTE ").append(name) + " (" + text
                             + ")");
  }

private:
  pqxx::transaction_base& transaction_;
  std::string opening_; ///< empty once it was sent
};

} // namespace cairn
