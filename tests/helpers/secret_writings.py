"""The ways in which a secret is written down, each as a line of code and as a line of configuration.

"§" stands for the value, "§1" and "§2" for its halves where it is written in two.
"""

from __future__ import annotations

from typing import NamedTuple

from secret_formats import UUID

TOKEN, KEY, PASSWORD, PLAIN = "{a32}", "{h40}", "{s14}", "{a14}"


class Snippet(NamedTuple):
    path: str
    text: str


class Writing(NamedTuple):
    """How a value of `form` is written in code and in configuration; `wrap` is put around it before it is encoded."""

    form: str
    code: Snippet
    config: Snippet
    wrap: str = ""


def _py(text: str) -> Snippet:
    return Snippet("src/app.py", text)


def _js(text: str) -> Snippet:
    return Snippet("src/app.ts", text)


def _sh(text: str) -> Snippet:
    return Snippet("bin/deploy.sh", text)


def _yml(text: str) -> Snippet:
    return Snippet("deploy/app.yml", text)


def _env(text: str) -> Snippet:
    return Snippet(".env", text)


def _xml(text: str) -> Snippet:
    return Snippet("conf/server.xml", text)


def _java(text: str) -> Snippet:
    return Snippet("src/App.java", text)


def _ini(text: str) -> Snippet:
    return Snippet("conf/app.ini", text)


def _json(text: str) -> Snippet:
    return Snippet("conf/app.json", text)


WRITINGS = {
    "assignment": Writing(PASSWORD, _py('password = "§"'), _yml("password: §")),
    "assignment, camel case": Writing(TOKEN, _js("const apiKey = '§';"), _yml("apiKey: '§'")),
    "assignment, typed": Writing(TOKEN, Snippet("src/app.rs", 'const API_TOKEN: &str = "§";'), _ini("api_token = §")),
    "assignment, short": Writing(PLAIN, Snippet("main.go", 'dbPass := "§"'), Snippet("a.toml", 'db_pass = "§"')),
    "assignment, C": Writing(
        TOKEN, Snippet("main.c", 'static const char *auth_token = "§";'), Snippet("config.h", '#define API_KEY "§"')
    ),
    "assignment, unquoted": Writing(TOKEN, _sh("token=§"), Snippet("a.properties", "spring.datasource.password=§")),
    "comparison": Writing(TOKEN, _py('if request.token == "§":'), Snippet("a.rego", 'input.api_key == "§"')),
    "comment": Writing(PLAIN, _py("# the password: §"), _ini("; admin password: §")),
    "in prose": Writing(TOKEN, _py('"""Sign in with the API key `§`."""'), Snippet("README.md", "API key: `§`")),
    "in the environment": Writing(TOKEN, _py('os.environ["API_KEY"] = "§"'), _env("API_KEY=§")),
    "in the environment, quoted": Writing(PASSWORD, _sh('DB_PASSWORD="§"'), _env("DB_PASSWORD='§'")),
    "in the environment, dollar": Writing(
        PASSWORD.replace("14", "6") + "$" + "{a7}", _py('PASSWORD = "§"'), _env("PASSWORD='§'")
    ),
    "default of a lookup": Writing(TOKEN, _py('os.getenv("API_KEY", "§")'), _yml('token: ${API_TOKEN:-"§"}')),
    "default after or": Writing(TOKEN, _js('const t = process.env.API_TOKEN || "§"'), _yml("token: ${API_TOKEN:-§}")),
    "argument of a call": Writing(TOKEN, _py('client = OpenAI(api_key="§")'), _yml("command: serve --api-key §")),
    "argument among others": Writing(
        PLAIN,
        _py('db = connect("db", user="app", password="§", port=5432)'),
        _yml("db: {user: app, password: §, port: 1}"),
    ),
    "argument behind its name": Writing(
        TOKEN, _java('props.setProperty("db.password", "§");'), _ini('setx API_KEY "§"')
    ),
    "argument of a constructor": Writing(TOKEN, _py('secret = SecretStr("§")'), _yml('secret: !secret "§"')),
    "argument of a setter": Writing(TOKEN, _java('client.setApiKey("§");'), Snippet("a.rb", 'config.api_key "§"')),
    "third argument of getConnection": Writing(
        PLAIN,
        _java('DriverManager.getConnection(url, "app", "§");'),
        Snippet("a.groovy", 'Sql.newInstance(url, "app", password: "§")'),
    ),
    "entry of a map": Writing(TOKEN, _py('{"name": "app", "secret": "§"}'), _json('{"clientSecret": "§"}')),
    "entry with an arrow": Writing(
        TOKEN, Snippet("app.rb", ':api_key => "§",'), Snippet("config.php", "'password' => '§',")
    ),
    "define": Writing(PLAIN, Snippet("wp.php", "define('DB_PASSWORD', '§');"), Snippet("a.el", '(setq api-key "§")')),
    "escaped JSON": Writing(
        TOKEN, _js(r'const body = "{\"password\": \"§\"}";'), _json(r'{"raw": "{\"token\":\"§\"}"}')
    ),
    "shell export": Writing(TOKEN, _sh("export API_KEY=§"), Snippet("envrc", 'export GITLAB_TOKEN="§"')),
    "before a command": Writing(PLAIN, _sh("PGPASSWORD=§ psql -h db -U app"), _yml("run: MYSQL_PWD=§ mysqldump app")),
    "other shells": Writing(TOKEN, Snippet("a.ps1", '$env:API_KEY = "§"'), Snippet("a.fish", "set -x API_KEY §")),
    "Dockerfile": Writing(TOKEN, Snippet("Dockerfile", "ENV API_KEY=§"), Snippet("Dockerfile", "ENV API_TOKEN §")),
    "option": Writing(TOKEN, _sh("deploy --token=§ --force"), _yml('args: ["--password", "§"]')),
    "option, docker": Writing(PLAIN, _sh("docker run -e DB_PASSWORD=§ app"), _yml("cmd: helm --set db.password=§ up")),
    "curl -u": Writing(
        PLAIN, _sh("curl -sS -u admin:§ https://api.acme.dev/v1"), _yml("run: curl --user 'app:§' $URL")
    ),
    "curl -u without a user": Writing(TOKEN, _sh("curl -u :§ https://api.acme.dev"), _yml('run: curl -u ":§" $URL')),
    "mysql -p": Writing(PLAIN, _sh("mysql -u root -p§ app"), _yml("run: sshpass -p § ssh app@host")),
    "docker login": Writing(PLAIN, _sh("docker login -u app -p § registry.dev"), _yml("run: redis-cli -a § ping")),
    "Bearer header": Writing(
        TOKEN, _py('headers = {"Authorization": "Bearer §"}'), _yml("run: curl -H 'Authorization: Bearer §' $URL")
    ),
    "Bearer header in a formatted string": Writing(
        TOKEN, _js("headers.set('Authorization', `Bearer §`);"), Snippet("a.http", "Authorization: Bearer §")
    ),
    "token header": Writing(TOKEN, _py('{"Authorization": "token §"}'), Snippet("a.http", "Authorization: Token §")),
    "key header": Writing(TOKEN, _sh('curl -H "X-Api-Key: §" $URL'), Snippet("a.http", "X-Auth-Token: §")),
    "Basic header": Writing(
        PLAIN,
        _py('headers = {"Authorization": "Basic §"}'),
        Snippet("nginx.conf", 'proxy_set_header Authorization "Basic §";'),
        wrap="admin:{}",
    ),
    "URL": Writing(
        PLAIN, _py('url = "postgres://app:§@db.acme.dev:5432/app"'), _env("DATABASE_URL=mysql://app:§@db/app")
    ),
    "URL without a user": Writing(
        PLAIN, _py('r = redis.from_url("redis://:§@cache:6379/0")'), _env("REDIS=redis://:§@c")
    ),
    "URL, mongodb+srv": Writing(
        PLAIN, _js('connect("mongodb+srv://app:§@c0.acme.net/?w=1")'), _yml("uri: amqps://app:§@mq.acme.dev/v")
    ),
    "URL with a token alone": Writing(
        KEY, _sh("git clone https://§@git.acme.dev/a/b.git"), _yml("url: https://§@git.acme.dev/a")
    ),
    "query of a URL": Writing(
        TOKEN, _py('get("https://api.acme.dev/v1?api_key=§&page=2")'), _yml("url: https://a.dev/x?access_token=§")
    ),
    "signature of a URL": Writing(
        "{a42}%3D",
        _py('get("https://x.blob.core.windows.net/c?sv=2022-11-02&se=2025-01-01&sr=c&sp=r&sig=§")'),
        _yml("sas: sv=2022-11-02&sr=c&sig=§"),
    ),
    "Sentry DSN": Writing(
        "{h32}",
        _py('sentry_sdk.init("https://§@o447951.ingest.sentry.io/5429219")'),
        _env("SENTRY_DSN=https://§@sentry.acme.dev/42"),
    ),
    "JDBC": Writing(
        PLAIN,
        _java('"jdbc:mysql://db:3306/app?user=app&password=§&useSSL=true"'),
        _xml("<url>jdbc:sqlserver://db;user=app;password=§;encrypt=true</url>"),
    ),
    "connection string of .NET": Writing(
        PLAIN,
        Snippet("Db.cs", '"Server=db;Database=app;User Id=sa;Password=§;Encrypt=True"'),
        _json('{"Default": "Data Source=db;Initial Catalog=app;User ID=sa;Pwd=§"}'),
    ),
    "connection string of Azure storage": Writing(
        "{b86}==",
        Snippet("Db.cs", '"DefaultEndpointsProtocol=https;AccountName=store1;AccountKey=§;Suffix=core.windows.net"'),
        _env("STORE=DefaultEndpointsProtocol=https;AccountName=store1;AccountKey=§"),
    ),
    "connection string of Azure": Writing(
        "{b43}=",
        Snippet("Bus.cs", '"Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=§"'),
        _env("HUB=HostName=a.azure-devices.net;DeviceId=d1;SharedAccessKey=§"),
    ),
    "connection string of libpq": Writing(
        PLAIN,
        _py('psycopg.connect("host=db dbname=app user=app password=§")'),
        _ini("conninfo = 'user=app password=§'"),
    ),
    "XML element": Writing(PLAIN, _java('"<password>§</password>"'), _xml("<server><password>§</password></server>")),
    "XML attribute": Writing(
        PLAIN, _java('"<user name=\\"a\\" password=\\"§\\"/>"'), _xml('<db user="app" password="§"/>')
    ),
    "XML name and value": Writing(
        TOKEN, Snippet("web.config", '<add key="ApiKey" value="§" />'), _xml('<property name="password" value="§"/>')
    ),
    "XML name and element": Writing(
        TOKEN,
        Snippet("strings.xml", '<string name="api_key">§</string>'),
        Snippet("app.config", '<setting name="ApiKey" serializeAs="String">\n  <value>§</value>'),
    ),
    "property list": Writing(
        TOKEN,
        Snippet("Info.plist", "<key>ApiKey</key>\n<string>§</string>"),
        Snippet("app.plist", "<key>password</key><string>§</string>"),
    ),
    "YAML name and value": Writing(
        TOKEN, Snippet("chart.yaml", "- name: DB_PASSWORD\n  value: §"), _yml('- name: API_TOKEN\n  value: "§"')
    ),
    "JSON name and value": Writing(
        TOKEN, _js('{ name: "API_KEY", value: "§" }'), _json('{"name": "DB_PASSWORD",\n "value": "§"}')
    ),
    "YAML list": Writing(
        PLAIN, Snippet("docker-compose.yml", "- POSTGRES_PASSWORD=§"), _yml('- "RABBITMQ_DEFAULT_PASS=§"')
    ),
    "netrc": Writing(
        PLAIN,
        _sh("echo 'machine api.acme.dev login app password §' >> ~/.netrc"),
        Snippet(".netrc", "machine git.acme.dev\n  login app\n  password §"),
    ),
    "npmrc": Writing(
        UUID,
        _sh('echo "//npm.acme.dev/:_authToken=§" > .npmrc'),
        Snippet(".npmrc", "//npm.acme.dev/:_authToken=§"),
    ),
    "pgpass": Writing(
        PLAIN, _sh("echo 'db.acme.dev:5432:app:app:§' > ~/.pgpass"), Snippet(".pgpass", "localhost:5432:*:app:§")
    ),
    "docker auth": Writing(
        PLAIN,
        _py('{"auths": {"registry.dev": {"auth": "§"}}}'),
        _json('{"auths": {"ghcr.io": {\n  "auth": "§"\n}}}'),
        wrap="app:{}",
    ),
    "Kubernetes base64": Writing(
        PLAIN,
        _py('SECRET = """\nkind: Secret\ndata:\n  password: §\n"""'),
        _yml("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\ndata:\n  database: §\n"),
        wrap="{}",
    ),
    "Kubernetes stringData": Writing(
        PLAIN,
        _py('SECRET = """\nkind: Secret\nstringData:\n  token: §\n"""'),
        _yml('apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  database: "§"\n'),
    ),
    "base64": Writing(TOKEN, _py('PASSWORD_B64 = "§"'), _yml("api_key: §"), wrap="{}"),
    "two lines": Writing(TOKEN, _py('api_key = (\n    "§"\n)'), _yml("api_key:\n  §")),
    "two lines, continued": Writing(TOKEN, _js("const apiKey =\n  '§';"), _sh("export API_TOKEN=\\\n§")),
    "two lines, folded": Writing(TOKEN, _java('String password =\n    "§";'), _yml("token: >-\n  §")),
    "two halves": Writing("{a48}", _py('api_key = (\n    "§1"\n    "§2"\n)'), _json('{"token": "§1" +\n  "§2"}')),
    "two halves, plus": Writing("{a48}", _js("const apiKey = '§1' +\n  '§2';"), Snippet("a.tf", 'token = "§1" + "§2"')),
    "two halves, backslash": Writing(
        "{a48}", _py('token = "§1" \\\n    "§2"'), Snippet("a.h", '#define TOKEN "§1" \\\n  "§2"')
    ),
    "UUID key": Writing(UUID, _py('client = Api(api_key="§")'), _env("HEROKU_API_KEY=§")),
    "Terraform default": Writing(
        PLAIN,
        Snippet("main.tf", 'variable "db_password" {\n  type    = string\n  default = "§"\n}'),
        Snippet("a.tfvars", 'master_password = "§"'),
    ),
    "SQL": Writing(
        PLAIN,
        Snippet("init.sql", "CREATE USER app IDENTIFIED BY '§';"),
        Snippet("up.sql", "ALTER ROLE app WITH LOGIN PASSWORD '§';"),
    ),
    "redis.conf": Writing(
        PLAIN, _sh("redis-server --requirepass §"), Snippet("redis.conf", "requirepass §\nmasterauth §")
    ),
    "Ansible": Writing(PLAIN, _yml("ansible_ssh_pass: §"), Snippet("hosts", "db1 ansible_user=app ansible_password=§")),
    "Wi-Fi": Writing(PLAIN, Snippet("wifi.ino", 'const char* wifi_password = "§";'), Snippet("wpa.conf", 'psk="§"')),
    "connect with a pair": Writing(
        PLAIN, _py('requests.get(url, auth=("app", "§"))'), _yml('basic_auth: ["app", "§"]')
    ),
}

KEY_BLOCKS = {
    "RSA": "-----BEGIN RSA PRIVATE KEY-----\n{b64}\n{b64}\n{b64}\n-----END RSA PRIVATE KEY-----",
    "OpenSSH": "-----BEGIN OPENSSH PRIVATE KEY-----\n{b70}\n{b70}\n-----END OPENSSH PRIVATE KEY-----",
    "PKCS 8": "-----BEGIN PRIVATE KEY-----\n{b64}\n{b64}\n-----END PRIVATE KEY-----",
    "PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{b64}\n{b64}\n=Ab1d\n-----END PGP PRIVATE KEY BLOCK-----",
}
ONE_LINE_KEY = "-----BEGIN PRIVATE KEY-----\\n{b64}\\n{b64}\\n-----END PRIVATE KEY-----"
