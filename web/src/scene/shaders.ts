/** The sphere, the sky behind it and the stars, in GLSL ES 3. Light and air as in native/picture. */

/** Light beyond the screen's range is bent back into it, then encoded as sRGB with a little noise. */
const SCREEN = /* glsl */ `
float shoulder(float x) {
  float over = (x - 0.7) / 0.3;
  return x <= 0.7 ? max(x, 0.0) : 0.7 + 0.3 * over / (1.0 + over);
}
float encode(float x) {
  x = shoulder(x);
  return x <= 0.0031308 ? x * 12.92 : 1.055 * pow(x, 1.0 / 2.4) - 0.055;
}
vec4 onScreen(vec3 light) {
  float noise = fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715)))) - 0.5;
  return vec4(vec3(encode(light.r), encode(light.g), encode(light.b)) + noise / 255.0, 1.0);
}
`;

export const sphereVertex = /* glsl */ `
uniform mat4 projectionMatrix;
uniform mat4 modelViewMatrix;
uniform mat3 uFaces[20];
in vec3 position;
in float face;
flat out int vFace;
flat out vec3 vApex;
flat out vec3 vP;
flat out vec3 vQ;
out vec3 vPosition;
void main() {
  vFace = int(face + 0.5);
  mat3 rows = uFaces[vFace];
  vApex = rows[0];
  vP = rows[1];
  vQ = rows[2];
  vPosition = position;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}
`;

/** With GLOW defined it draws the light that cells give themselves, alone. */
export const sphereFragment = /* glsl */ `
precision highp float;
precision highp int;
precision highp usampler2DArray;
precision highp sampler2D;

const int SHADES = 256;

uniform usampler2DArray uKinds;
uniform usampler2DArray uAmounts;
uniform sampler2D uPalette;
uniform uvec4 uPoles;
uniform int uFrequency;
uniform int uKindCount;
uniform int uPointed;
uniform vec3 uEye;
uniform vec3 uSun;
uniform float uHaze;

flat in int vFace;
flat in vec3 vApex;
flat in vec3 vP;
flat in vec3 vQ;
in vec3 vPosition;
out vec4 fragment;

${SCREEN}

struct Cell { int id; ivec3 at; };
struct Material { vec3 albedo; float grain; vec3 glow; float shine; };

// The cell at a lattice point of this triangle (weights of apex, P and Q): column, row and layer of the
// textures, layers 10 and 11 for the poles. See resolve() in topology.ts.
Cell cellAt(ivec3 weights) {
  int f = uFrequency;
  int d = vFace >> 1;
  bool lower = (vFace & 1) == 1;
  int i = clamp(lower ? f - weights.z : weights.y, 0, f);
  int j = clamp(lower ? f - weights.y : weights.z, 0, f);
  int k = d < 5 ? d : d - 5;
  int next = k == 4 ? 0 : k + 1;
  ivec3 at;
  if (i >= 1 && j < f) at = ivec3(j, i - 1, d);
  else if (d < 5) {
    if (i == 0) at = j == 0 ? ivec3(0, 0, 10) : ivec3(0, j - 1, next);
    else at = ivec3(0, i - 1, 5 + k);
  } else {
    if (i == 0) at = j == f ? ivec3(0, f - 1, 5 + next) : ivec3(j, f - 1, next);
    else at = i == f ? ivec3(0, 0, 11) : ivec3(i, f - 1, 5 + next);
  }
  int id = at.z < 10 ? (at.z * f + at.y) * f + at.x : 10 * f * f + at.z - 10;
  return Cell(id, at);
}

float unit(int id) {
  uint x = uint(id) + 0x9e3779b9u;
  x = (x ^ x >> 16) * 0x21f0aaadu;
  x = (x ^ x >> 15) * 0x735a2d97u;
  return float((x ^ x >> 15) & 0xffffu) / 65536.0;
}

Material materialOf(Cell cell) {
  uint kind;
  uint amount;
  if (cell.at.z < 10) {
    kind = texelFetch(uKinds, cell.at, 0).r;
    amount = texelFetch(uAmounts, cell.at, 0).r;
  } else {
    kind = cell.at.z == 10 ? uPoles.x : uPoles.z;
    amount = cell.at.z == 10 ? uPoles.y : uPoles.w;
  }
  int row = 2 * min(int(kind), uKindCount);
  vec2 ramp = texelFetch(uPalette, ivec2(SHADES, row), 0).xy;
  float share = pow(min(float(amount) / ramp.x, 1.0), ramp.y);
  int shade = int(share * float(SHADES - 1) + 0.5);
  vec4 matter = texelFetch(uPalette, ivec2(shade, row), 0);
  vec4 light = texelFetch(uPalette, ivec2(shade, row + 1), 0);
  return Material(matter.rgb * (1.0 + matter.a * (2.0 * unit(cell.id) - 1.0)), matter.a, light.rgb, light.a);
}

void main() {
  vec3 normal = normalize(vPosition);
  vec3 weights = vec3(dot(vApex, normal), dot(vP, normal), dot(vQ, normal));
  vec3 exact = weights / (weights.x + weights.y + weights.z) * float(uFrequency);
  vec3 across = dFdx(exact);
  vec3 along = dFdy(exact);

  // The nearest lattice point is found by rounding all three and mending the one that was furthest off.
  vec3 whole = floor(exact + 0.5);
  vec3 off = exact - whole;
  vec3 far = abs(off);
  float miss = whole.x + whole.y + whole.z - float(uFrequency);
  if (far.x >= far.y && far.x >= far.z) whole.x -= miss;
  else if (far.y >= far.z) whole.y -= miss;
  else whole.z -= miss;
  off = exact - whole;
  ivec3 nearest = ivec3(whole);

  // The cell beyond the nearest edge: one step from the least to the greatest of the three.
  ivec3 up = off.x >= off.y && off.x >= off.z ? ivec3(1, 0, 0) : off.y >= off.z ? ivec3(0, 1, 0) : ivec3(0, 0, 1);
  ivec3 down = off.x <= off.y && off.x <= off.z ? ivec3(1, 0, 0) : off.y <= off.z ? ivec3(0, 1, 0) : ivec3(0, 0, 1);
  vec3 edge = vec3(up - down);
  float border = clamp(dot(off, edge), 0.0, 1.0);
  // How much of that measure a pixel spans; from a cell's centre to the next it is 2.
  float span = max(length(vec2(dot(across, edge), dot(along, edge))), 1e-6);
  float width = 2.0 / span;

  Cell cell = cellAt(nearest);
  Material m = materialOf(cell);
  float beyond = clamp(0.5 - (1.0 - border) / span, 0.0, 0.5);
  if (beyond > 0.0 && up != down) {
    Material n = materialOf(cellAt(nearest + up - down));
    m.albedo = mix(m.albedo, n.albedo, beyond);
    m.glow = mix(m.glow, n.glow, beyond);
    m.shine = mix(m.shine, n.shine, beyond);
  }

  vec3 view = normalize(uEye - vPosition);
  float z = clamp(dot(normal, view), 0.0, 1.0);
#ifdef GLOW
  fragment = vec4(m.glow * z, 1.0);
#else
  // Borders are drawn on cells wide enough to bear them.
  float visible = smoothstep(8.0, 22.0, width);
  float thick = clamp(0.02 * width, 0.6, 2.5);
  float line = 1.0 - smoothstep(0.4 * thick, 1.6 * thick, (1.0 - border) * 0.5 * width);
  float bevel = border * border * border * border;
  float shown = 1.0 - visible * (0.34 * line + 0.12 * bevel);

  float sun = dot(normal, uSun);
  // Light wraps a little around the terminator, as it does where there is air.
  float wrapped = max((sun + 0.22) / 1.22, 0.0);
  float day = wrapped * sqrt(wrapped);
  vec3 ambient = vec3(0.042, 0.056, 0.087) * (0.55 + 0.45 * z) * 1.35;
  vec3 sunlight = mix(vec3(1.42, 1.07, 0.79), vec3(1.42, 1.37, 1.28), smoothstep(-0.05, 0.5, sun));
  vec3 light = m.albedo * shown * (sunlight * day + ambient);
  if (m.shine > 0.0 && sun > 0.0) {
    float mirror = max(dot(normal, normalize(uSun + view)), 0.0);
    light += vec3(0.86, 0.96, 1.0) * m.shine * (0.16 * pow(mirror, 180.0) + 0.03 * pow(mirror, 24.0));
  }
  light += m.glow * (1.0 + 0.35 * visible * (0.5 - border * border)) * (0.4 + 0.6 * shown);

  // Air between the world and the viewer: a thin veil, dense at the limb.
  float veil = (1.0 - z) * (1.0 - z) * (1.0 - z) * uHaze;
  vec3 air = vec3(0.20, 0.43, 0.92) * (0.02 + 0.98 * smoothstep(-0.35, 0.75, sun));
  float pierce = min(m.glow.r, 1.0) * 0.75;
  light = light * (1.0 - 0.5 * veil) + air * ((0.55 * veil + 0.012) * (1.0 - pierce));

  if (cell.id == uPointed) {
    float ring = smoothstep(1.0 - clamp(7.0 / width, 0.18, 0.5), 1.0, border);
    light = mix(light, vec3(0.95, 0.98, 1.0), 0.10 + 0.75 * ring);
  }
  fragment = onScreen(light);
#endif
}
`;

export const screenVertex = /* glsl */ `
in vec3 position;
out vec2 vPlace;
void main() {
  vPlace = position.xy;
  gl_Position = vec4(position.xy, 0.0, 1.0);
}
`;

export const skyFragment = /* glsl */ `
precision highp float;
uniform vec3 uEye;
uniform vec3 uSun;
uniform vec3 uRight;
uniform vec3 uUp;
uniform vec3 uAhead;
uniform float uAir;
in vec2 vPlace;
out vec4 fragment;
${SCREEN}
void main() {
  vec3 ray = normalize(uAhead + uRight * vPlace.x + uUp * vPlace.y);
  vec3 nearest = uEye - ray * dot(uEye, ray);
  float r = length(nearest);
  float height = max(r - 1.0, 0.0) / uAir;
  float facing = dot(nearest, uSun) / max(r, 1e-6);
  float lit = 0.07 + 0.93 * smoothstep(-0.55, 0.9, facing);
  float thick = 0.5 * exp(-1.7 * height) + 0.035 * exp(-0.30 * height);
  vec3 deep = mix(vec3(0.0012, 0.0015, 0.0033), vec3(0.0027, 0.0040, 0.0116), smoothstep(-1.6, 1.6, facing * min(r, 2.0)));
  fragment = onScreen(deep + vec3(0.1441, 0.4233, 1.0) * thick * lit);
}
`;

export const starVertex = /* glsl */ `
uniform mat4 projectionMatrix;
uniform mat4 viewMatrix;
uniform float uScale;
in vec3 position;
in vec4 tint;
out vec4 vTint;
void main() {
  vTint = tint;
  gl_PointSize = uScale * tint.a;
  // Stars are infinitely far away: they turn with the view and do not move.
  vec4 place = projectionMatrix * vec4(mat3(viewMatrix) * position, 1.0);
  gl_Position = vec4(place.xy, 0.0, place.w);
}
`;

export const starFragment = /* glsl */ `
precision highp float;
in vec4 vTint;
out vec4 fragment;
void main() {
  vec2 d = gl_PointCoord * 2.0 - 1.0;
  fragment = vec4(vTint.rgb * exp(-4.0 * dot(d, d)), 1.0);
}
`;

/** Along one direction; the picture is small, so nine samples reach far. */
export const blurFragment = /* glsl */ `
precision highp float;
uniform sampler2D uImage;
uniform vec2 uStep;
in vec2 vPlace;
out vec4 fragment;
void main() {
  vec2 at = vPlace * 0.5 + 0.5;
  vec3 sum = texture(uImage, at).rgb * 0.2042;
  sum += (texture(uImage, at + uStep).rgb + texture(uImage, at - uStep).rgb) * 0.1802;
  sum += (texture(uImage, at + 2.0 * uStep).rgb + texture(uImage, at - 2.0 * uStep).rgb) * 0.1238;
  sum += (texture(uImage, at + 3.0 * uStep).rgb + texture(uImage, at - 3.0 * uStep).rgb) * 0.0663;
  sum += (texture(uImage, at + 4.0 * uStep).rgb + texture(uImage, at - 4.0 * uStep).rgb) * 0.0276;
  fragment = vec4(sum, 1.0);
}
`;

export const haloFragment = /* glsl */ `
precision highp float;
uniform sampler2D uImage;
in vec2 vPlace;
out vec4 fragment;
void main() {
  fragment = vec4(texture(uImage, vPlace * 0.5 + 0.5).rgb, 1.0);
}
`;
